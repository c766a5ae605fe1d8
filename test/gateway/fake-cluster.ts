/**
 * Nodes of one cluster in one process: each with a fake engine on a Unix socket, the real gateway on a port of its own
 * and the real inlet for the others. What a node would know from gossip stands in one place here and is changed by hand.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { Pool } from 'undici';
import { openAccounts, type Accounts } from '../../src/gateway/accounts.ts';
import { connectionsMax, openGateway, type Gateway } from '../../src/gateway/server.ts';
import type { KeyTable } from '../../src/gateway/keys.ts';
import { askBy, storiesPath } from '../../src/gateway/journal.ts';
import { answersBytesMax } from '../../src/gateway/passthrough.ts';
import { openInlet, type Inlet } from '../../src/gateway/peer.ts';
import { ownWay } from '../../src/gateway/own-way.ts';
import { modelPaths } from '../../src/gateway/surface.ts';
import type { Way } from '../../src/gateway/way.ts';
import { copiesBytesMax } from '../../src/journal/holder.ts';
import type { Candidate } from '../../src/journal/rendezvous.ts';
import { PeerWay, type LineKind } from '../../src/mtls/peer-way.ts';
import type { Fact } from '../../src/node/facts.ts';
import { openStreamExplainer, type StreamExplainer } from '../../src/node/explain-stream.ts';
import { openJournals, type Journals } from '../../src/node/journals.ts';
import { generationsMax } from '../../src/node/generations.ts';
import { openStories } from '../../src/node/stories.ts';
import { listeners } from '../../src/node/listeners.ts';
import type { Clock } from '../../src/node/ports.ts';
import type {
  Admission,
  MemberLoad,
  MoveReason,
  ServedModel,
  Serving,
  ServingMember,
} from '../../src/node/serving.ts';
import { systemClock } from '../../src/os/clock.ts';
import { openTelemetry, type Telemetry } from '../../src/telemetry/telemetry.ts';
import { noAbility, type Ability } from '../../src/std/ability.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import type { Instant } from '../../src/std/time.ts';
import { AnsweringLine } from '../../src/wire/answering.ts';
import { AskingLine } from '../../src/wire/asking.ts';
import { protocol } from '../../src/wire/frames.ts';
import { FakeEngine } from './fake-engine.ts';

export type Standing = 'ready' | 'starting' | 'draining' | 'suspect';

export class FakeNode {
  readonly id: MemberId;
  readonly engine: FakeEngine;
  standing: Standing = 'ready';
  /** It drains, and nobody else has heard of it. */
  drainsUnheard = false;
  /** Of its engine; null: the same as everybody's. */
  contextTokens: number | null = null;
  /** What the engine's health says. */
  isEngineDead = (): boolean => this.engine.mode === 'dead';
  /** What its supervision does when it finds the engine dead. */
  onDead = (): void => {};
  /** What it says of itself when asked; null: nothing. */
  load: MemberLoad | null = null;
  readonly facts: Fact[] = [];
  readonly heard = new Map<MemberId, MemberLoad>();
  readonly suspected: MemberId[] = [];
  readonly doubted: MemberId[] = [];
  readonly moves = listeners<[MemberId, MoveReason]>();
  readonly cut = listeners<[]>();
  readonly relayEnd = listeners<[Instant]>();
  entered = 0;
  generating = 0;
  readonly sent = new Map<MemberId, number>();
  gateway!: Gateway;
  journals!: Journals;
  streams!: StreamExplainer;
  telemetry!: Telemetry;
  /** Its process is no more. */
  isGone = false;
  inlet!: Inlet;
  accounts!: Accounts;
  peerPort = 0;
  readonly ways = new Map<MemberId, Way & { destroy(): Promise<void> }>();
  peerServer!: Server;
  readonly lines = new Set<Duplex>();

  constructor(id: MemberId, engine: FakeEngine) {
    this.id = id;
    this.engine = engine;
  }

  get url(): string {
    return `http://127.0.0.1:${this.gateway.port}`;
  }

  /** Those that other nodes have to it. */
  breakConnections(): void {
    this.peerServer.closeAllConnections();
    for (const socket of this.lines) socket.destroy();
  }

  named(fact: string): readonly Fact[] {
    return this.facts.filter((said) => said.fact === fact);
  }
}

type ClusterOptions = {
  readonly model: string;
  readonly contextTokens: number;
  readonly bodyBytesMax: number;
  readonly answersBytesMax: number;
  /** Of each gateway. */
  readonly connectionsMax: number;
  readonly generationsMax: number;
  /** Of logs for other nodes, at each. */
  readonly copiesBytesMax: number;
  readonly ability: Ability;
  /** Engines that run already; the nodes without one get a fake. */
  readonly sockets: readonly string[];
  /** Of the gateways. */
  readonly clock: Clock;
  /** null: open to all. */
  readonly keys: KeyTable | null;
  readonly corsOrigins: readonly string[];
  readonly tls: { readonly cert: Buffer; readonly key: Buffer } | null;
  /** Nodes ask one another by lines; else by HTTP/1.1, as those do that know nothing of lines. */
  readonly lines: boolean;
};

export class FakeCluster implements AsyncDisposable {
  readonly nodes: FakeNode[] = [];
  readonly #folder: string;
  readonly #changed = listeners<[gone: MemberId | null]>();
  readonly #options: ClusterOptions;

  private constructor(folder: string, options: ClusterOptions) {
    this.#folder = folder;
    this.#options = options;
  }

  static async of(count: number, options: Partial<ClusterOptions> = {}): Promise<FakeCluster> {
    const cluster = new FakeCluster(await mkdtemp(join(tmpdir(), 'synkti-gateway-')), {
      model: 'tiny',
      contextTokens: 4_096,
      bodyBytesMax: 16 * 1_024 ** 2,
      ...{ answersBytesMax, connectionsMax, generationsMax, copiesBytesMax },
      ability: noAbility,
      sockets: [],
      clock: systemClock,
      keys: null,
      corsOrigins: [],
      tls: null,
      lines: true,
      ...options,
    });
    for (let i = 0; i < count; i++) await cluster.#add(i);
    return cluster;
  }

  get(index: number): FakeNode {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`no node ${index}`);
    return node;
  }

  /** Every node hears that this one drains. */
  drain(node: FakeNode): void {
    node.standing = 'draining';
    for (const other of this.nodes) other.moves.tell(node.id, 'drain');
  }

  async #add(index: number): Promise<void> {
    const { bodyBytesMax, answersBytesMax, sockets, clock, corsOrigins, tls } = this.#options;
    const { connectionsMax, generationsMax, copiesBytesMax } = this.#options;
    const name = `n${index}`;
    const engine = new FakeEngine(sockets[index] ?? join(this.#folder, `${name}.sock`));
    if (sockets[index] === undefined) await engine.listen();
    const node = new FakeNode(memberId(name), engine);
    const serving = this.#servingOf(node);
    node.telemetry = openTelemetry({
      ...{ level: 'error', format: 'json', out: { write: () => {} }, routes: modelPaths },
      ...{ models: () => serving.models().map(({ id }) => id), samples: () => [] },
    });
    const dispatcherTo = (member: MemberId): Way | null => this.#wayTo(node, member);
    node.accounts = openAccounts({
      ...{ clock: systemClock, dispatcherTo },
      others: () => this.nodes.flatMap(({ id }) => (id === node.id ? [] : [id])),
    });
    const { accounts } = node;
    const others = (): readonly Candidate[] =>
      this.nodes
        .filter((one) => one !== node && !one.isGone)
        .map((one) => ({ id: one.id, zone: `zone ${one.id}`, isFit: true }));
    node.journals = openJournals({
      ...{ self: node.id, zone: `zone ${index}`, clock: systemClock, session: index + 1, copiesBytesMax },
      ...{ ask: askBy(dispatcherTo), candidates: others, present: others },
      onChanged: this.#changed.add,
      report: serving.report,
    });
    const stories = openStories(node.id, systemClock);
    node.streams = openStreamExplainer({
      ...{ self: node.id, stories, journals: node.journals, ask: askBy(dispatcherTo, storiesPath) },
      others: () => this.nodes.flatMap((one) => (one === node || one.isGone ? [] : [one.id])),
    });
    node.inlet = openInlet({
      serving,
      engine: () => dispatcherTo(node.id),
      accounts,
      journal: (peerId, message) => node.journals.answer(memberId(peerId), message),
      stories: (_by, message) => node.streams.answer(message),
    });
    node.peerServer = createServer((request, response) => {
      // In a daemon the certificate says who asks.
      node.inlet.onRequest(request, response, String(request.socket.remoteAddress));
    });
    if (this.#options.lines) takeLines(node);
    await new Promise<void>((resolve) => node.peerServer.listen(0, '127.0.0.1', resolve));
    node.peerPort = (node.peerServer.address() as AddressInfo).port;
    node.gateway = await openGateway(
      {
        ...{ host: '127.0.0.1', port: 0, bodyBytesMax, formBytesMax: 25 * 1_024 ** 2, answersBytesMax },
        ...{ connectionsMax, generationsMax, corsOrigins, tls },
      },
      {
        serving,
        journals: node.journals,
        stories,
        dispatcherTo,
        clock,
        rng: { seed: this.nodes.length + 1 },
        metrics: node.telemetry.metrics,
        keys: () => this.#options.keys,
        accounts,
      },
    );
    this.nodes.push(node);
    this.#changed.tell(null);
  }

  /** As a killed process: its sockets close, nobody says goodbye, and the others hear of it. */
  async kill(node: FakeNode): Promise<void> {
    node.isGone = true;
    node.standing = 'draining';
    node.journals.close();
    node.breakConnections();
    node.peerServer.close();
    await node.gateway.close(AbortSignal.abort());
    this.#changed.tell(node.id);
  }

  #wayTo(from: FakeNode, member: MemberId): Way | null {
    const known = from.ways.get(member);
    if (known !== undefined) return known;
    const to = this.nodes.find(({ id }) => id === member) ?? (from.id === member ? from : undefined);
    if (to === undefined) return null;
    const way =
      to === from
        ? this.#ownWay(from)
        : new PeerWay(
            new Pool(`http://127.0.0.1:${to.peerPort}`, { localAddress: addressOf(from) }),
            lineKind,
          );
    from.ways.set(member, way);
    return way;
  }

  #ownWay(node: FakeNode): Way & { destroy(): Promise<void> } {
    const pool = new Pool('http://engine', { socketPath: node.engine.socketPath });
    return { ...ownWay(pool, this.#servingOf(node)), destroy: () => pool.destroy() };
  }

  #servingOf(node: FakeNode): Serving {
    const { model, contextTokens, ability } = this.#options;
    const admission = (): Admission =>
      node.standing === 'draining'
        ? closedByDrain
        : node.standing === 'starting'
          ? { open: false, reason: 'joining', retryAfterMs: 2_000 }
          : { open: true };
    const counted = (change: (by: number) => void) => (): (() => void) => {
      change(1);
      return () => change(-1);
    };
    const memberOf = ({ id, contextTokens: own }: FakeNode): ServingMember => ({
      member: id,
      self: id === node.id,
      zone: 'a',
      load: node.heard.get(id) ?? null,
      doubted: node.doubted.includes(id),
      unreported: node.sent.get(id) ?? 0,
      contextTokens: own ?? contextTokens,
    });
    const models = (): readonly ServedModel[] => {
      const starting = this.nodes.filter(({ standing }) => standing === 'starting').length;
      const ready = this.nodes.filter(({ standing }) => standing === 'ready').map(memberOf);
      return ready.length + starting === 0 ? [] : [{ id: model, ready, starting, contextTokens, ability }];
    };
    return {
      self: node.id,
      zone: 'a',
      models,
      model: (id) => models().find((one) => one.id === id) ?? null,
      isInTouch: () => true,
      admission,
      engineAdmission: () => (node.drainsUnheard ? closedByDrain : admission()),
      localLoad: () => node.load,
      heardLoad: (member, load) => void node.heard.set(member, load),
      engineErred: (tell) =>
        void setImmediate(() => {
          const isDead = node.isEngineDead();
          if (isDead) node.onDead();
          tell(isDead);
        }),
      doubt: (member) => void node.doubted.push(member),
      suspect: (member) => void node.suspected.push(member),
      entered: counted((by) => (node.entered += by)),
      generating: counted((by) => (node.generating += by)),
      sent: (member) => counted((by) => node.sent.set(member, (node.sent.get(member) ?? 0) + by))(),
      onMove: node.moves.add,
      onCut: node.cut.add,
      onRelayEnd: node.relayEnd.add,
      report: (fact) => {
        node.facts.push(fact);
        node.telemetry.report(fact);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) {
      if (!node.isGone) {
        await node.gateway.close(AbortSignal.abort());
        node.journals.close();
        await new Promise((resolve) => {
          node.peerServer.close(resolve);
          node.breakConnections();
        });
      }
      node.inlet.close();
      node.accounts.close();
      await Promise.all([...node.ways.values()].map((way) => way.destroy()));
      await node.engine.die();
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

const closedByDrain: Admission = { open: false, reason: 'draining', retryAfterMs: 1_000 };

const lineKind: LineKind = { protocol, open: (...line) => new AskingLine(...line) };

/** Without the mutual TLS of a daemon. */
function takeLines(node: FakeNode): void {
  node.peerServer.on('upgrade', (request, socket, begun) => {
    const lines = node.lines.add(socket);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${protocol}\r\n\r\n`);
    new AnsweringLine(socket, begun, {
      held: { bytes: 0 },
      onCall: (call) => node.inlet.onCall(call, String(request.socket.remoteAddress)),
      onStuck: () => {},
      onClosed: () => lines.delete(socket),
    });
  });
}

/** Each node speaks from a loopback address of its own. */
const addressOf = ({ id }: FakeNode): string => `127.0.1.${Number(id.slice(1)) + 1}`;

/**
 * Waits until it holds; fails loudly after `withinMs`, which is longer than anything takes on a busy machine. Of the time
 * in which this process stood still only a moment counts: what it waits for stood still as well.
 */
export async function until(holds: () => boolean, what: string, withinMs = 30_000): Promise<void> {
  let leftMs = withinMs;
  let lookedAt = performance.now();
  while (!holds()) {
    const now = performance.now();
    leftMs -= Math.min(now - lookedAt, 1_000);
    lookedAt = now;
    if (leftMs < 0) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
