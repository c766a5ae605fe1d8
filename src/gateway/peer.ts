/**
 * The serving side: answers other nodes by our own engine, for the listener that has already told members from
 * strangers. Bytes go through as they are, with backpressure; the entry node judges them. Two things are told besides:
 * our load, on every answer, and that nothing was begun, when we do not admit.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import type { Call } from '../node/call.ts';
import { lossOf, openPassages, type Passage } from '../node/passages.ts';
import type { Serving } from '../node/serving.ts';
import { unreachable } from '../std/assert.ts';
import { complaintJson } from '../stream/answer.ts';
import { useBytesMax, usePath, type Accounts } from './accounts.ts';
import {
  anthropicVersion,
  engineHeaders,
  loadHeader,
  loadToHeader,
  lostHeader,
  refusedHeader,
  requestIdOf,
} from './headers.ts';
import { HttpCall } from './http-call.ts';
import { openIntake } from './intake.ts';
import { journalPath, storiesPath } from './journal.ts';
import { watchOutlets } from './outlet.ts';
import { badRequest, notFound, wrongMethod, type Reply } from './reply.ts';
import { passedPaths } from './surface.ts';
import { whyBroken, type Way } from './way.ts';

/** A client's body, and the ids of a long answer that is continued with it; a log with the largest body. */
const bodyBytesMax = 64 * 1_024 ** 2;

const enginePaths: Readonly<Record<string, 'GET' | 'POST'>> = {
  '/engine/v1/chat/completions': 'POST',
  '/engine/v1/chat/completions/render': 'POST',
  '/engine/v1/chat/completions/derender': 'POST',
  '/engine/v1/completions': 'POST',
  '/engine/inference/v1/generate': 'POST',
  '/engine/v1/models': 'GET',
  ...Object.fromEntries(passedPaths.map((path) => [`/engine${path}`, 'POST' as const])),
};

/** Rendering and its like are done in a moment, and no model computes for them. */
const isGeneration = ({ method, path }: { readonly method: string; readonly path: string }): boolean =>
  method === 'POST' && !/\/((de)?render|(de)?tokenize|count_tokens)$/.test(path);

type AnswerMessage = (peerId: string, message: Uint8Array) => Uint8Array | null;

export type Inlet = {
  /** One request of a member. */
  onRequest(request: IncomingMessage, response: ServerResponse, peerId: string): void;
  /** The same, by a line. */
  onCall(call: Call, peerId: string): void;
  close(): void;
};

type InletPorts = {
  readonly serving: Serving;
  /** Connections to the local engine; null: there is none. */
  readonly engine: () => Way | null;
  readonly accounts: Pick<Accounts, 'hear'>;
  /** null: not a message that we know. */
  readonly journal: AnswerMessage;
  /** The same. */
  readonly stories: AnswerMessage;
};

export function openInlet(ports: InletPorts): Inlet {
  const { serving } = ports;
  const intake = openIntake(bodyBytesMax);
  const words = openIntake(useBytesMax);
  const passages = openPassages(serving);
  const outlets = watchOutlets();

  function onCall(call: Call, peerId: string): void {
    const { path, method } = call;
    if (path === usePath && method === 'POST') return void hear(call, peerId);
    if (path === journalPath && method === 'POST') return void answerWhole(call, peerId, ports.journal);
    if (path === storiesPath && method === 'POST') return void answerWhole(call, peerId, ports.stories);
    const wanted = Object.hasOwn(enginePaths, path) ? enginePaths[path] : undefined;
    if (wanted === undefined) return complain(call, notFound(path));
    if (wanted !== method) return complain(call, wrongMethod(method, wanted));
    void pass(call, { method: wanted, path: path.slice('/engine'.length) });
  }

  /** What another node's clients used. */
  async function hear(call: Call, peerId: string): Promise<void> {
    const body = await call.body(useBytesMax);
    if (body === null) return;
    ports.accounts.hear(peerId, body.toString('utf8'));
    call.answer(204, {});
    call.end();
  }

  async function pass(
    call: Call,
    asked: { readonly method: 'GET' | 'POST'; readonly path: string },
  ): Promise<void> {
    const body = asked.method === 'POST' ? await call.body(bodyBytesMax) : null;
    if (call.isOver || call.isAnswered) return;
    const engine = ports.engine();
    const refused = passages.refusal(engine !== null);
    if (engine === null || refused !== null) return refuse(call, refused ?? 'no-engine');
    const tellsEnd = !passedPaths.includes(asked.path);
    const passage = new EnginePassage(call, { load: () => serving.localLoad(), tellsEnd });
    const ended = passages.begin(passage, isGeneration(asked) ? 'generation' : 'question');
    call.onClose(() => {
      ended();
      passage.abort();
    });
    const headers = {
      ...engineHeaders(call.headers, requestIdOf(call.headers)),
      ...(body === null ? {} : { 'content-type': call.headers['content-type'] ?? 'application/json' }),
      ...anthropicVersion(call.headers),
    };
    engine.dispatch({ ...asked, headers, body, headersTimeout: 0, bodyTimeout: 0 }, passage);
  }

  return {
    onRequest: (request, response, peerId) => {
      outlets.open(response, (why) => serving.report({ fact: 'request.cut', why, request: 'peer' }));
      const taken = request.url === usePath ? words : intake;
      onCall(new HttpCall(request, response, taken), peerId);
    },
    onCall,
    close: () => {
      outlets.close();
      passages.close();
    },
  };
}

async function answerWhole(call: Call, peerId: string, answer: AnswerMessage): Promise<void> {
  const message = await call.body(bodyBytesMax);
  if (message === null || call.isOver) return;
  const told = answer(peerId, message);
  if (told === null) return complain(call, badRequest('Not a message of this version.'));
  whole(call, 200, told, { 'content-type': 'application/octet-stream' });
}

function refuse(call: Call, why: string): void {
  const message = `This node's engine takes no request now: ${why}.`;
  const body = complaintJson({ message, type: 'server_error', param: null, code: `engine_${why}` });
  whole(call, 503, Buffer.from(body), { ...json, [refusedHeader]: why });
}

const json = { 'content-type': 'application/json' };

const complain = (call: Call, { status, complaint, headers }: Reply): void =>
  whole(call, status, Buffer.from(complaintJson(complaint)), { ...json, ...headers });

function whole(
  call: Call,
  status: number,
  body: Uint8Array,
  headers: Readonly<Record<string, string>>,
): void {
  if (call.isOver || call.isAnswered) return;
  call.answer(status, { ...headers, 'content-length': String(body.length) });
  call.write(body);
  call.end();
}

/** One answer on its way through. A class because undici calls methods on it. */
class EnginePassage implements Dispatcher.DispatchHandler, Passage {
  readonly #call: Call;
  readonly #load: Serving['localLoad'];
  /** The entry node knows a stream of this kind to be complete by its last event. */
  readonly #tellsEnd: boolean;
  #controller: Dispatcher.DispatchController | null = null;
  #over = false;
  #isStream = false;

  constructor(
    call: Call,
    { load, tellsEnd }: { readonly load: Serving['localLoad']; readonly tellsEnd: boolean },
  ) {
    this.#call = call;
    this.#load = load;
    this.#tellsEnd = tellsEnd;
  }

  /** The entry node has gone, or has had enough. */
  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#controller?.abort(new Error('no longer wanted'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) controller.abort(new Error('no longer wanted'));
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    if (this.#over || status < 200) return;
    const load = this.#load();
    const type = String(headers['content-type'] ?? 'application/json');
    this.#isStream = type.startsWith('text/event-stream');
    const length = headers['content-length'];
    this.#call.answer(status, {
      'content-type': type,
      ...(typeof length === 'string' ? { 'content-length': length } : {}),
      ...(load === null ? {} : { [loadHeader]: loadToHeader(load) }),
    });
    this.#call.onDrain(() => controller.resume());
  }

  onResponseData(controller: Dispatcher.DispatchController, part: Buffer): void {
    if (!this.#over && !this.#call.write(part)) controller.pause();
  }

  onResponseEnd(): void {
    if (this.#over) return;
    this.#over = true;
    this.#call.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#over) return;
    this.#lose(whyBroken(error));
  }

  breakOff(why: string): void {
    if (this.#over) return;
    this.#lose(why);
    this.#controller?.abort(new Error(why));
  }

  #lose(why: string): void {
    this.#over = true;
    const call = this.#call;
    const begun = this.#controller !== null;
    const loss = lossOf({
      begun,
      headSent: call.isAnswered,
      isStream: this.#isStream && this.#tellsEnd,
    });
    switch (loss) {
      case 'end':
        return call.end();
      case 'destroy':
        return call.destroy();
      case 'refuse':
        return refuse(call, 'engine-unreached');
      case 'bad-gateway':
        return whole(call, 502, Buffer.from(lostBefore(why)), { ...json, [lostHeader]: 'engine' });
      default:
        return unreachable(loss);
    }
  }
}

function lostBefore(why: string): string {
  const message = `The engine broke off before it answered: ${why}.`;
  return complaintJson({ message, type: 'server_error', param: null, code: 'engine_lost' });
}
