/** What may be asked of the API, of whom, and in which words it is refused otherwise. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ApiKey } from '../node/api-key.ts';
import type { Generations } from '../node/generations.ts';
import type { Serving } from '../node/serving.ts';
import { messageOf } from '../std/failure.ts';
import { everyone } from '../std/room.ts';
import type { Instant, WallTime } from '../std/time.ts';
import type { Endpoint } from '../stream/chunk.ts';
import { noRoom } from '../stream/refusal.ts';
import { openCompletions } from './completions.ts';
import type { Entrance } from './entrance.ts';
import { refuse } from './intake.ts';
import { unauthorized, type KeyTable } from './keys.ts';
import { listedModels, toldModel } from './models.ts';
import type { Outlet } from './outlet.ts';
import type { openPassthrough } from './passthrough.ts';
import { busy, hostless, notFound, refused, reply, replyJson, stumbled, wrongMethod } from './reply.ts';
import { roomFor, type Share } from './room.ts';
import { formPaths, jsonPaths } from './surface.ts';

/** `key`: null where the API is open, or this part of it. `owner`: whose part of this node's rooms it takes. */
export type About = {
  readonly outlet: Outlet;
  readonly id: string;
  readonly arrivedAt: Instant;
  readonly key: ApiKey | null;
  readonly owner: string;
};
type Route = (request: IncomingMessage, response: ServerResponse, about: About) => void;

/** For load balancers and scrapers, who have no key and learn nothing of anybody's requests. */
const open: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/health', '/metrics']);

const modelsAbove = '/v1/models/';
const oneModel = `${modelsAbove}{model}`;

type Routes = {
  answer(request: IncomingMessage, response: ServerResponse, about: Omit<About, 'key' | 'owner'>): void;
  /** The route's name for the metrics: few, whatever is asked for. */
  nameOf(request: IncomingMessage): string;
};

/** False: it was told that there is none, and its connection, one of too many, closes. */
function hasPlace(share: Share, request: IncomingMessage, response: ServerResponse): boolean {
  const lack = share.take(1);
  if (lack === null) {
    response.on('close', () => share.giveBack(1));
    return true;
  }
  const { headers, ...said } = refused(noRoom('requests under way', lack));
  refuse(request, response, { ...said, headers: { ...headers, connection: 'close' } });
  return false;
}

type Options = {
  readonly serving: Serving;
  readonly generations: Generations;
  readonly bodyBytesMax: number;
  /** As many as there may be connections. */
  readonly requestsMax: number;
  readonly entrance: Entrance;
  readonly passthrough: ReturnType<typeof openPassthrough>;
  readonly metrics: () => Promise<string>;
  readonly startedAt: WallTime;
  /** null: the API is open to all. */
  readonly keys: () => KeyTable | null;
};
/** By path, then by method. */
type Table = Readonly<Record<string, Readonly<Record<string, Route>>>>;

export function openRoutes(options: Options): Routes {
  const { serving } = options;
  const underWay = roomFor(options.requestsMax);
  const completions = openCompletions({ ...options, models: () => serving.models() });
  /** A defect of ours costs the request that found it. */
  const guarded =
    (answer: (...asked: Parameters<Route>) => Promise<void>): Route =>
    (request, response, about) =>
      void answer(request, response, about).catch((error: unknown) => {
        serving.report({ fact: 'request.stumbled', request: about.id, why: messageOf(error) });
        if (response.headersSent) response.destroy();
        else reply(response, stumbled);
      });
  const pass = (path: string, kind: 'json' | 'form'): Route =>
    guarded((...asked) => options.passthrough.answer({ path, kind }, ...asked));
  const passed = (paths: readonly string[], kind: 'json' | 'form') =>
    Object.fromEntries(paths.map((path) => [path, { POST: pass(path, kind) }]));
  const complete = (endpoint: Endpoint): Route =>
    guarded((...asked) => completions.answer(endpoint, ...asked));

  const table: Table = {
    '/v1/chat/completions': { POST: complete('chat') },
    '/v1/completions': { POST: complete('completions') },
    ...passed(jsonPaths, 'json'),
    ...passed(formPaths, 'form'),
    ...aboutModels(options),
    ...aboutNode(options),
  };

  const nameOf = (path: string): string => {
    if (path !== oneModel && Object.hasOwn(table, path)) return path;
    return path.startsWith(modelsAbove) && path !== modelsAbove ? oneModel : 'other';
  };
  return {
    answer: (request, response, about) => {
      const path = pathOf(request);
      if (request.httpVersion === '1.1' && request.headers.host === undefined)
        return refuse(request, response, hostless);
      const methods = table[nameOf(path)];
      if (methods === undefined) return refuse(request, response, notFound(path));
      const method = request.method ?? '';
      // HEAD is GET whose body Node.js leaves out (RFC 9110, 9.3.2).
      const asked = method === 'HEAD' ? 'GET' : method;
      const route = Object.hasOwn(methods, asked) ? methods[asked] : undefined;
      if (route !== undefined) {
        const keys = open.has(path) ? null : options.keys();
        const key = keys?.holderOf(request.headers) ?? null;
        if (keys !== null && key === null) return refuse(request, response, unauthorized(request.headers));
        const owner = keys === null || key === null ? everyone : keys.ownerOf(key);
        about.outlet.belongsTo(owner);
        if (!hasPlace(underWay.of(owner), request, response)) return;
        return route(request, response, { ...about, key, owner });
      }
      return refuse(request, response, wrongMethod(method, allowedOf(methods)));
    },
    nameOf: (request) => nameOf(pathOf(request)),
  };
}

const aboutModels = ({ serving, startedAt }: Pick<Options, 'serving' | 'startedAt'>): Table => ({
  '/v1/models': {
    GET: (_, response) => replyJson(response, 200, listedModels(serving.models(), startedAt)),
  },
  [oneModel]: {
    GET: (request, response) => {
      const told = toldModel(modelOf(pathOf(request)), serving.models(), startedAt);
      if (typeof told === 'string') replyJson(response, 200, told);
      else reply(response, refused(told));
    },
  },
});

const aboutNode = ({ serving, metrics }: Pick<Options, 'serving' | 'metrics'>): Table => ({
  '/healthz': { GET: (_, response) => replyJson(response, 200, '{"status":"ok"}') },
  '/readyz': { GET: (_, response) => tellReadiness(response, serving) },
  // Where vLLM is asked whether it can be sent requests.
  '/health': { GET: (_, response) => tellReadiness(response, serving) },
  '/metrics': { GET: (_, response) => void expose(response, metrics) },
});

const allowedOf = (methods: Readonly<Record<string, Route>>): string =>
  Object.keys(methods)
    .flatMap((method) => (method === 'GET' ? [method, 'HEAD'] : [method]))
    .join(', ');

/** As OpenAI's clients write it, or as it is: names of models have slashes. */
function modelOf(path: string): string {
  const written = path.slice(modelsAbove.length);
  try {
    return decodeURIComponent(written);
  } catch {
    return written;
  }
}

/** Whoever takes us for a proxy puts scheme and host before it, and is to be answered all the same (RFC 9112, 3.2.2). */
const authority = /^https?:\/\/[^/?]*/i;

function pathOf({ url = '/' }: IncomingMessage): string {
  const target = url.startsWith('/') ? url : url.replace(authority, '');
  const query = target.indexOf('?');
  return query === -1 ? target : target.slice(0, query);
}

function tellReadiness(response: ServerResponse, serving: Serving): void {
  const admission = serving.admission();
  if (admission.open) return replyJson(response, 200, '{"status":"ready"}');
  replyJson(response, 503, JSON.stringify({ status: admission.reason }));
}

async function expose(response: ServerResponse, metrics: () => Promise<string>): Promise<void> {
  try {
    const text = await metrics();
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
    response.end(text);
  } catch (error) {
    reply(response, busy(`The metrics cannot be told: ${String(error)}`, 'no_metrics', 1_000));
  }
}
