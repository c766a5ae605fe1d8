/** The routes, and what happens around every one of them: keys, methods, request ids, refusals. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { contractVersion, nowSeconds, type Api, type Endpoint, type Routes } from './api.ts';
import { chat } from './chat.ts';
import { complete } from './completions.ts';
import { derenderChat, derenderCompletion } from './derender.ts';
import { devRoutes } from './dev-mode.ts';
import { bare, ClientGone, Exchange, randomId } from './exchange.ts';
import { abortRequests, generate } from './generate.ts';
import { countTokens, messages, responses } from './other-apis.ts';
import { Refusal } from './refusal.ts';
import { renderChat, renderCompletion } from './render.ts';
import { detokenize, tokenize } from './tokens-api.ts';

/** How long an idle connection is kept, ms: clients that keep theirs longer meet a reset now and then. */
const keepAliveMs = 5000;

const health: Endpoint = (api, exchange) => {
  if (api.phase() === 'dead') exchange.respondText(503, '', null);
  else exchange.respond(200, null);
};

const models: Endpoint = ({ settings }, exchange) => {
  const created = nowSeconds();
  const data = settings.servedNames.map((id) => ({
    id,
    object: 'model',
    created,
    owned_by: 'vllm',
    root: settings.model,
    parent: null,
    max_model_len: settings.contextTokens,
    permission: [
      {
        id: `modelperm-${randomId()}`,
        object: 'model_permission',
        created,
        allow_create_engine: false,
        allow_sampling: true,
        allow_logprobs: true,
        allow_search_indices: false,
        allow_view: true,
        allow_fine_tuning: false,
        organization: '*',
        group: null,
        is_blocking: false,
      },
    ],
  }));
  exchange.respond(200, { object: 'list', data });
};

const metrics: Endpoint = (api, exchange) =>
  exchange.respondText(200, api.metrics.render(), 'text/plain; version=1.0.0; charset=utf-8');

/** `/load` counts only where a flag turns it on, which we do not have. */
const plainRoutes: Routes = {
  '/health': { GET: health },
  '/ping': { GET: health, POST: health },
  '/load': { GET: (_, exchange) => exchange.respond(200, { server_load: 0 }) },
  '/version': { GET: (_, exchange) => exchange.respond(200, { version: contractVersion }) },
  '/kv_event_sources': { GET: (_, exchange) => exchange.respond(200, {}) },
  '/metrics': { GET: metrics },
  '/v1/models': { GET: models },
  '/tokenize': { POST: tokenize },
  '/detokenize': { POST: detokenize },
  '/v1/completions': { POST: complete },
  '/v1/chat/completions': { POST: chat },
  '/v1/messages': { POST: messages },
  '/v1/messages/count_tokens': { POST: countTokens },
  '/v1/responses': { POST: responses },
};

const scaleOutRoutes: Routes = {
  '/inference/v1/generate': { POST: generate },
  '/inference/v1/abort_requests': { POST: abortRequests },
  '/v1/chat/completions/render': { POST: renderChat },
  '/v1/completions/render': { POST: renderCompletion },
  '/v1/chat/completions/derender': { POST: derenderChat },
  '/v1/completions/derender': { POST: derenderCompletion },
};

/** These are not counted in `http_requests_total`. */
const uncounted = new Set(['/health', '/ping', '/load', '/version', '/metrics']);
const guarded = /^\/(v1|inference)(\/|$)/;

export function makeServer(api: Api): Server {
  const routes = routesOf(api);
  const server = createServer((request, response) => {
    // Once the server closes, a connection goes with its last answer instead of idling first.
    response.once('finish', () => {
      if (!server.listening) setImmediate(() => server.closeIdleConnections());
    });
    // A refusal is answered inside; what gets here is a bug, and a bug ends the process.
    void answer(api, routes, request, response);
  });
  server.keepAliveTimeout = keepAliveMs;
  server.keepAliveTimeoutBuffer = 0;
  return server;
}

function routesOf({ settings }: Api): Routes {
  const disabled: Endpoint = (_, exchange) => {
    const what =
      'Scale-out endpoints are disabled. Restart vllm serve with --enable-scale-out to enable them.';
    exchange.refuse(new Refusal(403, 'PermissionDeniedError', what, null));
  };
  const closed = Object.fromEntries(Object.keys(scaleOutRoutes).map((path) => [path, { POST: disabled }]));
  return {
    ...plainRoutes,
    ...(settings.scaleOut ? scaleOutRoutes : closed),
    ...(settings.devMode ? devRoutes : {}),
  };
}

async function answer(
  api: Api,
  routes: Routes,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const exchange = new Exchange(request, response, { sendsId: api.settings.requestIdHeaders });
  const { path } = exchange;
  if (guarded.test(path) && !mayEnter(api, exchange))
    return exchange.respondText(401, '{"error":"Unauthorized"}', 'application/json', bare);
  const methods = Object.hasOwn(routes, path) ? routes[path]! : null;
  if (methods === null) return exchange.respond(404, { detail: 'Not Found' });
  const endpoint = methods[exchange.method as 'GET' | 'POST'];
  if (endpoint === undefined) {
    const allow = Object.keys(methods).sort().join(', ');
    return exchange.respondText(405, '{"detail":"Method Not Allowed"}', 'application/json', { allow });
  }
  if (!uncounted.has(path))
    response.once('finish', () => api.metrics.answered(path, exchange.method, exchange.status));
  try {
    await endpoint(api, exchange);
  } catch (error) {
    if (!(error instanceof ClientGone)) exchange.refuse(error);
  }
}

function mayEnter({ settings }: Api, exchange: Exchange): boolean {
  if (settings.apiKeys.length === 0 || exchange.method === 'OPTIONS') return true;
  const given = /^bearer (.*)$/i.exec(exchange.header('authorization') ?? '')?.[1];
  return given !== undefined && settings.apiKeys.includes(given);
}
