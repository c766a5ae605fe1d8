/**
 * The serving side: answers other nodes by our own engine, for the listener that has already told members from
 * strangers. Bytes go through as they are, with backpressure; the entry node judges them. Two things are told besides:
 * our load, on every answer, and that nothing was begun, when we do not admit.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
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
  refusedHeader,
  requestIdOf,
} from './headers.ts';
import { openIntake, type Intake } from './intake.ts';
import { journalPath } from './journal.ts';
import { watchOutlets } from './outlet.ts';
import { badRequest, notFound, reply, replyJson, wrongMethod } from './reply.ts';
import { passedPaths } from './surface.ts';

/** A client's body, and the ids of a long answer that is continued with it. */
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

/** A log with the largest body, its prompt's ids and its answer. */
const journalBytesMax = 64 * 1_024 ** 2;

type AnswerJournal = (peerId: string, message: Uint8Array) => Uint8Array | null;

export type Inlet = {
  /** One request of a member. */
  onRequest(request: IncomingMessage, response: ServerResponse, peerId: string): void;
  close(): void;
};

export function openInlet(ports: {
  readonly serving: Serving;
  /** Connections to the local engine; null: there is none. */
  readonly engine: () => Dispatcher | null;
  readonly accounts: Pick<Accounts, 'hear'>;
  /** null: not a message that we know. */
  readonly journal: AnswerJournal;
}): Inlet {
  const { serving } = ports;
  const intake = openIntake(bodyBytesMax);
  const words = openIntake(useBytesMax);
  const passages = openPassages(serving);
  const outlets = watchOutlets();

  const journal = { intake: openIntake(journalBytesMax), answer: ports.journal };

  function onRequest(request: IncomingMessage, response: ServerResponse, peerId: string): void {
    const path = request.url ?? '';
    if (path === usePath && request.method === 'POST') return void hear(request, response, peerId);
    if (path === journalPath && request.method === 'POST')
      return void tellJournal(request, response, peerId, journal);
    const method = Object.hasOwn(enginePaths, path) ? enginePaths[path] : undefined;
    if (method === undefined) return reply(response, notFound(path));
    if (method !== request.method) return reply(response, wrongMethod(request.method ?? '', method));
    void pass(request, response, { method, path: path.slice('/engine'.length) });
  }

  /** What another node's clients used. */
  async function hear(request: IncomingMessage, response: ServerResponse, peerId: string): Promise<void> {
    const body = await words.read(request, response);
    if (body === null) return;
    ports.accounts.hear(peerId, body.toString('utf8'));
    if (!response.destroyed) response.writeHead(204).end();
  }

  async function pass(
    request: IncomingMessage,
    response: ServerResponse,
    call: { readonly method: 'GET' | 'POST'; readonly path: string },
  ): Promise<void> {
    const body = call.method === 'POST' ? await intake.read(request, response) : null;
    if (response.destroyed || response.headersSent) return;
    const engine = ports.engine();
    const refused = passages.refusal(engine !== null);
    if (engine === null || refused !== null) return refuse(response, refused ?? 'no-engine');
    outlets.open(response, (why) => serving.report({ fact: 'request.cut', why, request: 'peer' }));
    const tellsEnd = !passedPaths.includes(call.path);
    const passage = new HttpPassage(response, { load: () => serving.localLoad(), tellsEnd });
    const ended = passages.begin(passage, isGeneration(call) ? 'generation' : 'question');
    response.on('close', () => {
      ended();
      passage.abort();
    });
    const headers = {
      ...engineHeaders(request.headers, requestIdOf(request.headers)),
      ...(body === null ? {} : { 'content-type': request.headers['content-type'] ?? 'application/json' }),
      ...anthropicVersion(request.headers),
    };
    engine.dispatch({ ...call, headers, body, headersTimeout: 0, bodyTimeout: 0 }, passage);
  }

  return {
    onRequest,
    close: () => {
      outlets.close();
      passages.close();
    },
  };
}

async function tellJournal(
  request: IncomingMessage,
  response: ServerResponse,
  peerId: string,
  { intake, answer }: { readonly intake: Intake; readonly answer: AnswerJournal },
): Promise<void> {
  const message = await intake.read(request, response);
  if (message === null || response.destroyed) return;
  const told = answer(peerId, message);
  if (told === null) return reply(response, badRequest('Not a message of this version.'));
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': told.length });
  response.end(told);
}

function refuse(response: ServerResponse, why: string): void {
  const message = `This node's engine takes no request now: ${why}.`;
  const body = complaintJson({ message, type: 'server_error', param: null, code: `engine_${why}` });
  replyJson(response, 503, body, { [refusedHeader]: why });
}

/** One answer on its way through. A class because undici calls methods on it. */
class HttpPassage implements Dispatcher.DispatchHandler, Passage {
  readonly #response: ServerResponse;
  readonly #load: Serving['localLoad'];
  /** The entry node knows a stream of this kind to be complete by its last event. */
  readonly #tellsEnd: boolean;
  #controller: Dispatcher.DispatchController | null = null;
  #over = false;
  #isStream = false;

  constructor(
    response: ServerResponse,
    { load, tellsEnd }: { readonly load: Serving['localLoad']; readonly tellsEnd: boolean },
  ) {
    this.#response = response;
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
    this.#response.writeHead(status, {
      'content-type': type,
      ...(typeof length === 'string' ? { 'content-length': length } : {}),
      ...(load === null ? {} : { [loadHeader]: loadToHeader(load) }),
    });
    // The entry node waits for the head to know that somebody is there.
    this.#response.flushHeaders();
    this.#response.on('drain', () => controller.resume());
  }

  onResponseData(controller: Dispatcher.DispatchController, part: Buffer): void {
    if (!this.#over && !this.#response.write(part)) controller.pause();
  }

  onResponseEnd(): void {
    if (this.#over) return;
    this.#over = true;
    this.#response.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#over) return;
    this.#lose('code' in error ? String(error.code) : error.message);
  }

  breakOff(why: string): void {
    if (this.#over) return;
    this.#lose(why);
    this.#controller?.abort(new Error(why));
  }

  #lose(why: string): void {
    this.#over = true;
    const response = this.#response;
    const begun = this.#controller !== null;
    const loss = lossOf({
      begun,
      headSent: response.headersSent,
      isStream: this.#isStream && this.#tellsEnd,
    });
    switch (loss) {
      case 'end':
        return void response.end();
      case 'destroy':
        return void response.destroy();
      case 'refuse':
        return refuse(response, 'engine-unreached');
      case 'bad-gateway':
        return replyJson(response, 502, lostBefore(why));
      default:
        return unreachable(loss);
    }
  }
}

function lostBefore(why: string): string {
  const message = `The engine broke off before it answered: ${why}.`;
  return complaintJson({ message, type: 'server_error', param: null, code: 'engine_lost' });
}
