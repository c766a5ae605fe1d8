/**
 * From an HTTP request to a generation: what is wrong with it is said here, before any engine hears of it. An engine
 * would accept some of it (vLLM takes a request without a model), in a cluster it would mean nothing.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Generations } from '../node/generations.ts';
import type { Endpoint, Json } from '../stream/chunk.ts';
import { engineHeaders } from './headers.ts';
import { openIntake, refuse } from './intake.ts';
import { clientAt, type Outlet } from './outlet.ts';
import { badRequest, busy, reply, type Reply } from './reply.ts';

export function openCompletions(options: {
  readonly generations: Generations;
  readonly bodyBytesMax: number;
}) {
  const { generations } = options;
  const intake = openIntake(options.bodyBytesMax);

  async function answer(
    endpoint: Endpoint,
    request: IncomingMessage,
    response: ServerResponse,
    about: { readonly outlet: Outlet; readonly id: string },
  ): Promise<void> {
    const refusal = refusalOf(request);
    if (refusal !== null) return refuse(request, response, refusal);
    const bytes = await intake.read(request, response);
    if (bytes === null || response.destroyed) return;
    const raw = bytes.toString('utf8');
    const body = parse(raw);
    const model = modelIn(body);
    if (typeof model !== 'string') return reply(response, model);
    const { id, outlet } = about;
    const asked = { endpoint, model, body: body as Json, raw };
    const headers = engineHeaders(request.headers, id);
    const ended = generations.begin(asked, clientAt(outlet), { id, headers });
    response.on('close', ended);
  }

  function refusalOf(request: IncomingMessage): Reply | null {
    const admission = generations.admission();
    if (!admission.open) {
      const { reason, retryAfterMs } = admission;
      return reason === 'overloaded'
        ? busy('Too many requests at once.', reason, retryAfterMs)
        : busy(`This node is ${reason} and takes no new requests.`, `node_${reason}`, retryAfterMs);
    }
    const type = request.headers['content-type'] ?? '';
    return /^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)
      ? null
      : badRequest("Unsupported media type: only 'application/json' is accepted.");
  }

  return { answer };
}

/** undefined: not JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // What is wrong in the middle of a prompt is nobody's business but the client's.
  }
}

/** The model's name, or what to say to a request that has none. */
function modelIn(body: unknown): string | Reply {
  if (body === undefined) return badRequest('The request body is not valid JSON.', null, 'invalid_json');
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    return badRequest('The request body is not a JSON object.', null, 'invalid_json');
  const { model } = body as Json;
  if (model === undefined || model === null)
    return badRequest('The parameter `model` is missing.', 'model', 'missing_required_parameter');
  if (typeof model !== 'string' || model === '')
    return badRequest('The parameter `model` must be a name.', 'model', 'invalid_type');
  return model;
}
