/**
 * Requests that are passed through as they are: placed like generations, and asked for again elsewhere for as long as
 * nothing of an answer was delivered. An answer in one piece is delivered when all of it is there, so it is repeatable
 * to the end; of a stream that has begun, a loss is said by an error event.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Generations } from '../node/generations.ts';
import type { Clock } from '../node/ports.ts';
import { promptOf } from '../node/prompt.ts';
import type { Serving } from '../node/serving.ts';
import { FleetingSet } from '../std/fleeting.ts';
import type { MemberId } from '../std/member-id.ts';
import { isForm, isJson, namedInForm, namedInJson, notForm, notJson } from './body.ts';
import type { Entrance } from './entrance.ts';
import { anthropicVersion, engineHeaders } from './headers.ts';
import { openIntake, refuse } from './intake.ts';
import type { Outlet } from './outlet.ts';
import { Passing } from './passing.ts';
import { charactersOf } from './prompt.ts';
import { notAdmitted, reply, type Reply } from './reply.ts';
import type { Room } from './room.ts';
import type { About } from './routes.ts';
import { generates, needsMemory } from './surface.ts';
import type { Way } from './way.ts';

/**
 * Answers in one piece of all requests together, bytes: each is kept until its client has it, and for a moment a second
 * time, while its pieces are put together. Four of the largest, as for bodies.
 */
export const answersBytesMax = 512 * 1_024 ** 2;

type PassthroughLimits = {
  readonly bodyBytesMax: number;
  readonly formBytesMax: number;
};

type PassthroughPorts = {
  readonly serving: Serving;
  readonly generations: Generations;
  readonly dispatcherTo: (member: MemberId) => Way | null;
  readonly clock: Clock;
  readonly entrance: Entrance;
  /** For the answers in one piece of all requests. */
  readonly room: Room;
};

type Passed = ConstructorParameters<typeof Passing>[0] & { readonly owner: string };

export function openPassthrough(limits: PassthroughLimits, ports: PassthroughPorts) {
  const { serving, generations } = ports;
  const intakes = { json: openIntake(limits.bodyBytesMax), form: openIntake(limits.formBytesMax) };
  const open = new FleetingSet<Passing>();
  const each = (act: (passing: Passing) => void): void => {
    for (const passing of open.all()) act(passing);
  };
  const unsubscribe = [
    serving.onMove((member, why) => each((passing) => passing.move(member, why))),
    serving.onCut(() => each((passing) => passing.move(serving.self, 'dead'))),
  ];

  function refusalOf(kind: 'json' | 'form', type: string, owner: string): Reply | null {
    const admission = generations.admission(owner);
    if (!admission.open) return notAdmitted(admission);
    if (kind === 'json') return isJson(type) ? null : notJson;
    return isForm(type) ? null : notForm;
  }

  async function answer(
    { path, kind }: { readonly path: string; readonly kind: 'json' | 'form' },
    request: IncomingMessage,
    response: ServerResponse,
    about: About,
  ): Promise<void> {
    const type = request.headers['content-type'] ?? '';
    const refusal = refusalOf(kind, type, about.owner);
    if (refusal !== null) return refuse(request, response, refusal);
    const bytes = await intakes[kind].read(request, response, about.owner);
    if (bytes === null || response.destroyed) return;
    const named = kind === 'json' ? namedInJson(bytes.toString('utf8')) : namedInForm(bytes, type);
    if ('status' in named) return reply(response, named);
    const stored = needsMemory(path, named.body);
    if (stored !== null) return reply(response, stored);
    const passed = { ...engineHeaders(request.headers, about.id), ...anthropicVersion(request.headers) };
    const headers = { ...passed, 'content-type': type };
    const { owner, id, arrivedAt } = about;
    const call = { id, arrivedAt, path, model: named.model, owner };
    const asked = { ...call, bytes, headers, prompt: promptOf(named.body) };
    const characters = about.key === null || kind === 'form' ? 0 : charactersOf(named.body);
    const ended = ports.entrance.enter(
      {
        ...{ ...named, key: about.key, owner, headers: request.headers },
        ...{ bytes: bytes.length + named.heapBytes, characters, generates: generates(path) },
      },
      { go: (spent) => begin({ ...asked, spent }, about.outlet), refuse: (why) => reply(response, why) },
    );
    response.on('close', ended);
  }

  function begin(asked: Passed, outlet: Outlet): () => void {
    const left = serving.entered();
    const passing = new Passing(asked, outlet, { ...ports, room: ports.room.of(asked.owner) });
    const gone = open.add(passing);
    passing.begin();
    return () => {
      passing.close();
      gone();
      left();
    };
  }

  return {
    answer,
    close: (): void => {
      for (const stop of unsubscribe) stop();
    },
  };
}
