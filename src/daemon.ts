/**
 * Puts one node together: adapters below, the node in the middle, listeners on top. `run` reads top down as the order
 * of starting; what was opened is closed in reverse, whatever happens between.
 */
import { readFile } from 'node:fs/promises';
import { memberThread, release, respawn } from './cli/executable.ts';
import { openApiKeys, openToAll, type ApiKeys } from './api-keys.ts';
import { exit, type Io } from './cli/io.ts';
import { describe, type Settings } from './config/settings.ts';
import { openControl } from './control/server.ts';
import type { EngineHost } from './engines/host.ts';
import { openAccounts } from './gateway/accounts.ts';
import { askBy, storiesPath } from './gateway/journal.ts';
import { ownWay } from './gateway/own-way.ts';
import { answersBytesMax } from './gateway/passthrough.ts';
import { openInlet, type Inlet } from './gateway/peer.ts';
import { connectionsMax, openGateway, type Certificate, type Gateway } from './gateway/server.ts';
import { modelPaths } from './gateway/surface.ts';
import { copiesBytesMax } from './journal/holder.ts';
import { issueCertificate } from './mtls/certificate.ts';
import { listenPeers, peerBounds, type Lines } from './mtls/peer-listener.ts';
import { openPeerPools, type PeerPools } from './mtls/peer-pools.ts';
import { authorityOf } from './node/authority.ts';
import type { Call } from './node/call.ts';
import { isHere, type ClusterPort } from './node/cluster-port.ts';
import type { GaugeSample, Report, TotalSample } from './node/facts.ts';
import { openStreamExplainer } from './node/explain-stream.ts';
import { generationsMax } from './node/generations.ts';
import { holdersAmong } from './node/holders.ts';
import { openJournals, type Journals } from './node/journals.ts';
import { Node } from './node/node.ts';
import { gaugesOf, journalGauges, openOperations } from './node/operate.ts';
import { openStories } from './node/stories.ts';
import { originMs, systemClock as clock } from './os/clock.ts';
import { openIsolation, type Isolation } from './os/isolation.ts';
import { optimizeWithWork } from './os/optimizing.ts';
import { preferThread } from './os/priority.ts';
import { vitals } from './os/vitals.ts';
import type { NodeRecord } from './registry/record.ts';
import { Failure, messageOf } from './std/failure.ts';
import { fnv1a } from './std/hash.ts';
import { memberId, type MemberId } from './std/member-id.ts';
import { openOwnEngine, servedName } from './own-engine.ts';
import { identifySelf, type Self } from './self.ts';
import { openTelemetry, type Telemetry } from './telemetry/telemetry.ts';
import { patience, startMemberThread, type MemberThread } from './thread/member-thread.ts';
import { AnsweringLine } from './wire/answering.ts';
import { AskingLine } from './wire/asking.ts';
import { protocol } from './wire/frames.ts';

/** For a listener to open. */
const listenMs = 15_000;
/** A second signal while draining: whoever sends it does not want to wait. */
const hurriedMs = 5_000;
/** For answers and connections under way when a listener closes. */
const closeMs = 1_000;

/** Resolves with the exit code when the node has left. Throws a Failure when it cannot start. */
export async function runNode(settings: Settings, io: Io): Promise<number> {
  await using opened = new AsyncDisposableStack();
  let samples = (): readonly (GaugeSample | TotalSample)[] => [];
  let models = (): readonly string[] => [];
  const { logLevel: level, logFormat: format } = settings;
  const telemetry = openTelemetry({
    ...{ level, format, out: io.out },
    ...{ routes: modelPaths, models: () => models(), samples: () => samples() },
  });
  const { report } = telemetry;
  const { version, commit } = release();
  report({ fact: 'node.configured', version, ...describe(settings) });

  // Before the first connection: what it does not see opening it cannot cut.
  const isolation = settings.faults ? isolationOf(settings) : null;
  if (isolation !== null) opened.defer(() => isolation.close());
  const self = await identifySelf(settings, { opened, report });
  const { apiKeys } = settings;
  const keys = apiKeys === null ? openToAll(report) : await openApiKeys(apiKeys, { ...self, report });
  opened.defer(() => keys.close());
  const engine = openOwnEngine(settings, { nodeId: self.id, env: io.env, respawn, report });
  const record = recordOf(settings, self, engine);
  const thread = await startThread(settings, self, { record, report });
  preferThread('membership');
  opened.defer(() => thread.close());
  const node = composeNode(settings, self, { record, cluster: thread.cluster, engine, report });
  opened.defer(() => node.close());
  const parts = { settings, self, node, thread, engine, isolation, telemetry, keys };
  const { journals, gateway } = await openListeners(parts, opened);
  models = () => node.serving.models().map(({ id }) => id);
  const build = { version, commit: commit ?? '', nodejs: process.versions.node };
  samples = () => [
    { name: 'synkti_build_info', labels: build, value: 1 },
    ...[...gaugesOf(node), ...journalGauges(journals), ...thread.samples(), ...vitals()],
  ];

  await node.start();
  opened.defer(
    io.onSignal((signal) => {
      if (signal === 'SIGHUP') void Promise.all([keys.reload(), renewCertificate(settings, gateway, report)]);
      else node.drain('signal', node.leaving.phase() === 'open' ? settings.drainMs : hurriedMs);
    }),
  );
  report({ fact: 'node.started', member: self.id, peerId: self.identity.peerId, zone: self.zone });
  const failure = await Promise.race([node.leaving.left, thread.failed]);
  if (failure instanceof Failure) {
    const stack = failure.cause instanceof Error ? (failure.cause.stack ?? null) : null;
    report({ fact: 'membership.failed', why: failure.message, stack });
    throw failure;
  }
  report({ fact: 'node.stopped', member: self.id });
  return exit.done;
}

/** What this node says of itself before anything has happened to it. */
function recordOf(settings: Settings, { id, host, identity, zone }: Self, engine: EngineHost | null) {
  const record: NodeRecord = {
    id: memberId(id),
    peerId: identity.peerId,
    // The wall clock outranks every earlier start; where it went back, an echo of the old record corrects it.
    incarnation: clock.wallNow(),
    sequence: 0,
    role: settings.role,
    zone,
    version: release().version,
    addresses: {
      peer: authorityOf({ host, port: settings.peerPort }),
      api: apiUrl(settings, host),
    },
    life: { phase: 'joining' },
    engine:
      engine === null
        ? { phase: 'none' }
        : { phase: 'starting', models: [servedName(settings)], contextTokens: null },
  };
  return record;
}

const startThread = (
  { p2pPort, discoveryMs, faults }: Settings,
  { host, identity, cloud, listing, remembered, memory }: Self,
  { record, report }: { readonly record: NodeRecord; readonly report: Report },
): Promise<MemberThread> =>
  startMemberThread(
    {
      code: memberThread(),
      setup: {
        own: record,
        keySeed: identity.privateKey.raw.subarray(0, 32),
        listen: { host, port: p2pPort },
        listing,
        discoveryMs,
        rngSeed: seedFrom(identity.peerId),
        ...{ remembered, memory, originMs, faults },
      },
      patience,
    },
    { clock, cloud, report },
  );

function composeNode(
  settings: Settings,
  { cluster: name, identity, readNotice, cloud, address, remembered }: Self,
  parts: {
    readonly record: NodeRecord;
    readonly cluster: ClusterPort;
    readonly engine: EngineHost | null;
    readonly report: Report;
  },
): Node {
  const { record, cluster, engine, report } = parts;
  const expectedModels = [servedName(settings)];
  return new Node(
    {
      cluster: name,
      record,
      address,
      isTagged: remembered !== null,
      engine: engine === null ? null : { expectedModels, readyMs: settings.engineReadyMs },
    },
    {
      clock,
      rng: { seed: seedFrom(identity.peerId) },
      cloud,
      readNotice,
      cluster,
      engineHost: engine && {
        perform: (...order) => engine.perform(...order),
        close: () => engine.release(),
      },
      report,
    },
  );
}

type Parts = {
  readonly settings: Settings;
  readonly self: Self;
  readonly node: Node;
  readonly thread: MemberThread;
  readonly engine: EngineHost | null;
  readonly isolation: Isolation | null;
  readonly telemetry: Telemetry;
  readonly keys: ApiKeys;
};

type DispatcherTo = ReturnType<typeof openWays>;

const accountsOf = ({ node }: Parts, dispatcherTo: DispatcherTo) =>
  openAccounts({
    ...{ clock, dispatcherTo },
    others: () => node.cluster.members().flatMap(({ id, health }) => (health === 'alive' ? [id] : [])),
  });

/** What they hold is handed on when the node leaves. */
function journalsOf({ node, self }: Parts, dispatcherTo: DispatcherTo): Journals {
  const journals = openJournals({
    ...{ self: node.serving.self, zone: self.zone, clock, session: clock.wallNow() },
    ...{ ask: askBy(dispatcherTo), copiesBytesMax, ...holdersAmong(node.cluster) },
    report: node.serving.report,
  });
  node.handOn = (withinMs) => journals.handOn(withinMs);
  return journals;
}

type Listening = { readonly journals: Journals; readonly gateway: Gateway };

/** For peers, for operators, and last for clients: whoever can ask finds everything behind it ready. */
async function openListeners(parts: Parts, opened: AsyncDisposableStack): Promise<Listening> {
  const { settings, self, node, engine, telemetry, keys } = parts;
  const credentials = await issueCertificate(self.identity);
  const pools = openPeerPools(credentials, { protocol, open: (...line) => new AskingLine(...line) });
  opened.defer(() => pools.close());
  const dispatcherTo = openWays({ node, engine, pools });
  const accounts = accountsOf(parts, dispatcherTo);
  opened.defer(() => accounts.close());
  const journals = journalsOf(parts, dispatcherTo);
  opened.defer(() => journals.close());
  const { stories, streams } = explaining(node, journals, dispatcherTo);
  const inlet = openInlet({
    serving: node.serving,
    engine: () => dispatcherTo(node.serving.self),
    accounts,
    journal: (peerId, message) => journals.answer(memberId(peerId), message),
    stories: (_by, message) => streams.answer(message),
  });
  const listener = await listenPeers(
    {
      credentials,
      host: self.host,
      port: settings.peerPort,
      admit: admitting(parts),
      onRequest: inlet.onRequest,
      lines: linesOf(inlet, telemetry.report),
      bounds: peerBounds,
      onRefused: (why) => telemetry.report({ fact: 'peer.refused', peerId: '', why }),
    },
    AbortSignal.timeout(listenMs),
  );
  opened.defer(node.cluster.barred.add((peerId) => listener.cut(peerId)));
  opened.defer(async () => {
    inlet.close();
    await listener.close(AbortSignal.timeout(closeMs));
  });
  const addresses = {
    api: apiUrl(settings, settings.apiHost),
    peer: authorityOf({ host: self.host, port: settings.peerPort }),
    p2p: authorityOf({ host: self.host, port: settings.p2pPort }),
  };
  const control = await openControl({
    dataDir: settings.dataDir,
    operations: openOperations(
      node,
      { cluster: self.cluster, pid: process.pid, addresses },
      { clock, explainStream: streams.explain },
    ),
    drainMs: settings.drainMs,
    isolate: isolating(parts),
  });
  opened.defer(() => control.close());
  const gateway = await openGateway(
    {
      ...{ host: settings.apiHost, port: settings.apiPort },
      ...{ bodyBytesMax: settings.bodyBytesMax, formBytesMax: settings.formBytesMax },
      ...{ connectionsMax, generationsMax, answersBytesMax },
      corsOrigins: settings.corsOrigins,
      tls: await certificateOf(settings),
    },
    {
      ...{ serving: node.serving, journals, stories, dispatcherTo, accounts, clock },
      rng: { seed: seedFrom(self.id) },
      metrics: telemetry.metrics,
      keys: keys.table,
    },
  );
  opened.defer(() => gateway.close(AbortSignal.timeout(closeMs)));
  return { journals, gateway };
}

/** What becomes of streams, told here and asked of whoever can be asked. */
function explaining(node: Node, journals: Journals, dispatcherTo: DispatcherTo) {
  const { self } = node.serving;
  const stories = openStories(self, clock);
  const others = (): readonly MemberId[] =>
    node.cluster
      .members()
      .flatMap((known) =>
        isHere(known) && known.record !== null && known.record.role !== 'operator' ? [known.id] : [],
      );
  const ask = askBy(dispatcherTo, storiesPath);
  return { stories, streams: openStreamExplainer({ self, stories, journals, others, ask }) };
}

/** Operators look on by gossip; engines and logs are for members. */
const admitting =
  ({ settings: { operators }, node: { cluster } }: Parts) =>
  async (peerId: string): Promise<boolean> =>
    !operators.includes(peerId) && (await cluster.admit(peerId));

/** null: faults are not allowed here. */
function isolating({ isolation, thread }: Parts): ((on: boolean) => void) | null {
  if (isolation === null) return null;
  return (on) => {
    if (on) isolation.isolate();
    else isolation.heal();
    thread.cluster.isolate(on);
  };
}

function linesOf(inlet: Inlet, report: Report): Lines {
  const held = { bytes: 0 };
  const onStuck = (): void => report({ fact: 'request.cut', why: 'stuck', request: 'peer' });
  return {
    protocol,
    take: (socket, begun, { peerId, onClosed }) => {
      const onCall = (call: Call): void => inlet.onCall(call, peerId);
      return new AnsweringLine(socket, begun, { held, onCall, onStuck, onClosed });
    },
  };
}

/** One that cannot be read or makes no sense changes nothing, and is said. */
async function renewCertificate(settings: Settings, { renew }: Gateway, report: Report): Promise<void> {
  try {
    const certificate = await certificateOf(settings);
    if (renew === null || certificate === null) return;
    renew(certificate);
    report({ fact: 'certificate.loaded', from: settings.tlsCert });
  } catch (error) {
    report({ fact: 'certificate.refused', why: messageOf(error) });
  }
}

async function certificateOf({ tlsCert, tlsKey }: Settings): Promise<Certificate | null> {
  if (tlsCert === null || tlsKey === null) return null;
  const pem = (path: string): Promise<Buffer> =>
    readFile(path).catch((error: unknown) => {
      const { code = '' } = error as NodeJS.ErrnoException;
      throw new Failure(code === 'ENOENT' ? 'missing' : 'denied', `read ${path}: ${code}`, error);
    });
  return { cert: await pem(tlsCert), key: await pem(tlsKey) };
}

const apiUrl = ({ tlsCert, apiPort }: Settings, host: string): string =>
  `${tlsCert === null ? 'http' : 'https'}://${authorityOf({ host, port: apiPort })}`;

/** Our own engine on its Unix socket; a peer's through the mutual TLS of both nodes. */
function openWays({ node, engine, pools }: { node: Node; engine: EngineHost | null; pools: PeerPools }) {
  const work = optimizeWithWork();
  return (member: MemberId) => {
    work();
    if (member === node.serving.self) return engine && ownWay(engine.dispatcher, node.serving);
    const record = node.cluster.member(member)?.record ?? null;
    return record && pools.to({ peerId: record.peerId, address: record.addresses.peer });
  };
}

/** A partition cuts what runs between nodes; clients, AWS and the metadata service stay reachable. */
function isolationOf({ apiPort, awsEndpoint, imdsEndpoint, engine }: Settings): Isolation {
  const urls = [awsEndpoint, imdsEndpoint, typeof engine === 'object' ? engine.url : null];
  const spared = new Set(urls.flatMap((url) => (url === null ? [] : [Number(new URL(url).port)])));
  return openIsolation(
    ({ localPort, remotePort }) =>
      localPort !== apiPort && remotePort !== undefined && !spared.has(remotePort),
  );
}

/** Nodes with different names draw differently; the same node draws alike, for what that is worth in a log. */
const seedFrom = (name: string): number => fnv1a(name) >>> 0;
