/** Endpoints that exist with VLLM_SERVER_DEV_MODE=1: pausing, sleeping, aborting by id. */
import type { Endpoint, Routes } from './api.ts';
import type { PauseMode } from './core-messages.ts';
import type { Exchange } from './exchange.ts';
import { abortRequests } from './generate.ts';
import { badRequest } from './refusal.ts';

const modes: readonly PauseMode[] = ['abort', 'wait', 'keep'];

function modeOf(exchange: Exchange): PauseMode {
  const asked = exchange.query.get('mode') ?? 'abort';
  const mode = modes.find((one) => one === asked);
  if (mode === undefined) throw badRequest(`Invalid pause mode: ${asked}`);
  return mode;
}

const pause: Endpoint = async (api, exchange) => {
  await api.engine.pause(modeOf(exchange));
  exchange.respond(200, { status: 'paused' });
};

const resume: Endpoint = (api, exchange) => {
  api.engine.resume();
  exchange.respond(200, { status: 'resumed' });
};

const sleep: Endpoint = async (api, exchange) => {
  const level = exchange.query.get('level') === '2' ? 2 : 1;
  await api.engine.pause(modeOf(exchange));
  api.metrics.sleepLevel = level;
  exchange.respond(200, { status: 'sleeping', level });
};

const wakeUp: Endpoint = (api, exchange) => {
  api.engine.resume();
  api.metrics.sleepLevel = 0;
  exchange.respond(200, { status: 'awake' });
};

export const devRoutes: Routes = {
  '/pause': { POST: pause },
  '/resume': { POST: resume },
  '/is_paused': { GET: (api, exchange) => exchange.respond(200, { is_paused: api.engine.isPaused }) },
  '/sleep': { POST: sleep },
  '/wake_up': { POST: wakeUp },
  '/is_sleeping': {
    GET: (api, exchange) => exchange.respond(200, { is_sleeping: api.metrics.sleepLevel > 0 }),
  },
  '/abort_requests': { POST: abortRequests },
  '/reset_prefix_cache': { POST: (_, exchange) => exchange.respond(200, { success: true }) },
};
