/**
 * From an HTTP request to a generation: what is wrong with it is said here, before any engine hears of it. An engine
 * would accept some of it (vLLM takes a request without a model), in a cluster it would mean nothing.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Generations } from '../node/generations.ts';
import type { Serving } from '../node/serving.ts';
import type { Spent } from '../node/spent.ts';
import type { Endpoint } from '../stream/chunk.ts';
import { everyone } from '../std/room.ts';
import { streamGone, type Refusal } from '../stream/refusal.ts';
import { isJson, namedInJson, notJson, notUtf8 } from './body.ts';
import type { Entrance } from './entrance.ts';
import { aboutOf, engineHeaders } from './headers.ts';
import { openIntake, refuse } from './intake.ts';
import { withModels } from './models.ts';
import { clientAt } from './outlet.ts';
import { charactersOf } from './prompt.ts';
import { notAdmitted, reply, type Reply } from './reply.ts';
import type { About } from './routes.ts';

export function openCompletions(options: {
  readonly generations: Generations;
  readonly bodyBytesMax: number;
  readonly models: Serving['models'];
  readonly entrance: Entrance;
}) {
  const { generations, models } = options;
  const intake = openIntake(options.bodyBytesMax);

  async function answer(
    endpoint: Endpoint,
    request: IncomingMessage,
    response: ServerResponse,
    about: About,
  ): Promise<void> {
    const refusal = refusalOf(request, about.owner);
    if (refusal !== null) return refuse(request, response, refusal);
    const bytes = await intake.read(request, response, about.owner);
    if (bytes === null || response.destroyed) return;
    // Read as text it would be another prompt, and nobody would be told.
    if (!isUtf8(bytes)) return reply(response, notUtf8);
    const raw = bytes.toString('utf8');
    const named = namedInJson(raw);
    if ('status' in named) return reply(response, named);
    const { id, arrivedAt, outlet, key, owner } = about;
    const asked = { endpoint, ...named, raw };
    const headers = engineHeaders(request.headers, id);
    const client = clientAt(outlet);
    const told = { ...client, refuse: (refusal: Refusal) => client.refuse(withModels(refusal, models)) };
    const { isLost, ...theirs } = aboutOf(request, { ...named, bytes }, key);
    if (isLost) return client.refuse(streamGone);
    const begin = (spent: Spent, found?: () => void) =>
      generations.begin(asked, told, { id, arrivedAt, headers, spent, found, owner, ...theirs });
    const { place } = theirs;
    const refuseNow = (refusal: Reply): void => reply(response, refusal);
    const ended =
      place === null
        ? options.entrance.enter(
            {
              ...{ key, owner, ...named, headers: request.headers, generates: true },
              ...{
                bytes: bytes.length + named.heapBytes,
                characters: key === null ? 0 : charactersOf(named.body),
              },
            },
            { go: begin, refuse: refuseNow },
          )
        : options.entrance.resume(
            { key, owner, bytes: bytes.length + named.heapBytes, from: place.mark.tokens },
            { go: begin, refuse: refuseNow },
          );
    response.on('close', ended);
  }

  function refusalOf(request: IncomingMessage, owner: string): Reply | null {
    // The rest of an answer was let in with its beginning.
    const isRest = request.headers['last-event-id'] !== undefined;
    const admission = generations.admission(isRest ? everyone : owner);
    if (!admission.open) return notAdmitted(admission);
    return isJson(request.headers['content-type'] ?? '') ? null : notJson;
  }

  return { answer };
}
