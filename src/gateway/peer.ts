/**
 * The serving side: answers other nodes by our own engine, for the listener that has already told members from
 * strangers. Bytes go through as they are, with backpressure; the entry node judges them. Two things are told besides:
 * our load, on every answer, and that nothing was begun, when we do not admit.
 *
 * An engine's stream that breaks off is ended in order, without `[DONE]`: the entry node sees that the answer is lost
 * and that this node is not. Only what has a length of its own has to be broken off on the wire.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import type { Serving } from '../node/serving.ts';
import { complaintJson } from '../stream/answer.ts';
import { engineHeaders, loadHeader, loadToHeader, refusedHeader, requestIdOf } from './headers.ts';
import { openIntake } from './intake.ts';
import { watchOutlets } from './outlet.ts';
import { notFound, reply, replyJson, wrongMethod } from './reply.ts';

/** A client's body, and the ids of a long answer that is continued with it. */
const bodyBytesMax = 64 * 1_024 ** 2;
/** Requests of peers at one engine: vLLM queues far fewer than this well. */
const requestsMax = 4_096;

const enginePaths: Readonly<Record<string, 'GET' | 'POST'>> = {
  '/engine/v1/chat/completions': 'POST',
  '/engine/v1/completions': 'POST',
  '/engine/v1/models': 'GET',
};

export type Inlet = {
  /** One request of a member. */
  onRequest(request: IncomingMessage, response: ServerResponse): void;
  close(): void;
};

export function openInlet(ports: {
  readonly serving: Serving;
  /** Connections to the local engine; null: there is none. */
  readonly engine: () => Dispatcher | null;
}): Inlet {
  const { serving } = ports;
  const intake = openIntake(bodyBytesMax);
  const open = new Set<Passage>();
  const outlets = watchOutlets();

  function onRequest(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? '';
    const method = Object.hasOwn(enginePaths, path) ? enginePaths[path] : undefined;
    if (method === undefined) return reply(response, notFound(path));
    if (method !== request.method) return reply(response, wrongMethod(request.method ?? '', method));
    void pass(request, response, { method, path: path.slice('/engine'.length) });
  }

  async function pass(
    request: IncomingMessage,
    response: ServerResponse,
    call: { readonly method: 'GET' | 'POST'; readonly path: string },
  ): Promise<void> {
    const body = call.method === 'POST' ? await intake.read(request, response) : null;
    if (response.destroyed || response.headersSent) return;
    const engine = ports.engine();
    const refused = refusal(engine);
    if (engine === null || refused !== null) return refuse(response, refused ?? 'no-engine');
    outlets.open(response, (why) => serving.report({ fact: 'request.cut', why, request: 'peer' }));
    const ended = call.method === 'POST' ? serving.generating() : (): void => {};
    const passage = new Passage(response, () => serving.localLoad());
    open.add(passage);
    response.on('close', () => {
      ended();
      open.delete(passage);
      passage.abort();
    });
    const headers = {
      ...engineHeaders(request.headers, requestIdOf(request.headers)),
      ...(body === null ? {} : { 'content-type': 'application/json' }),
    };
    engine.dispatch({ ...call, headers, body, headersTimeout: 0, bodyTimeout: 0 }, passage);
  }

  function refusal(engine: Dispatcher | null): string | null {
    const admission = serving.engineAdmission();
    if (!admission.open) return admission.reason;
    if (engine === null) return 'no-engine';
    return open.size >= requestsMax ? 'full' : null;
  }

  const unsubscribe = serving.onCut(() => {
    for (const passage of [...open]) passage.breakOff('engine stops');
  });
  return {
    onRequest,
    close: () => {
      outlets.close();
      unsubscribe();
      for (const passage of [...open]) passage.breakOff('node stops');
    },
  };
}

function refuse(response: ServerResponse, why: string): void {
  const message = `This node's engine takes no request now: ${why}.`;
  const body = complaintJson({ message, type: 'server_error', param: null, code: `engine_${why}` });
  replyJson(response, 503, body, { [refusedHeader]: why });
}

/** One answer on its way through. A class because undici calls methods on it. */
class Passage implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;
  readonly #load: Serving['localLoad'];
  #controller: Dispatcher.DispatchController | null = null;
  #over = false;
  #isStream = false;

  constructor(response: ServerResponse, load: Serving['localLoad']) {
    this.#response = response;
    this.#load = load;
  }

  /** The entry node has gone, or has had enough. */
  abort(): void {
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
    const why = 'code' in error ? String(error.code) : error.message;
    this.#lose(this.#controller === null ? 'unreached' : why);
  }

  /** Ends what the engine has begun, from our side: a stopping vLLM keeps its streams open for ever. */
  breakOff(why: string): void {
    if (this.#over) return;
    this.#lose(why);
    this.#controller?.abort(new Error(why));
  }

  #lose(why: string): void {
    this.#over = true;
    const response = this.#response;
    if (this.#isStream && response.headersSent) response.end();
    else if (response.headersSent) response.destroy();
    else if (why === 'unreached') refuse(response, 'engine-unreached');
    else {
      const message = `The engine broke off before it answered: ${why}.`;
      replyJson(
        response,
        502,
        complaintJson({ message, type: 'server_error', param: null, code: 'engine_lost' }),
      );
    }
  }
}
