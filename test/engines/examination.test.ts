/** What an engine is found out to do, by one that draws as it is told to in each test. */
import { equal } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { test } from 'node:test';
import { connectionTo } from '../../src/engines/connection.ts';
import { examine } from '../../src/engines/examination.ts';
import { scramble } from '../../src/std/hash.ts';

type Drawing = { readonly ids: readonly number[]; readonly seed: number; readonly drawn: number };
type Asked = {
  readonly prompt: readonly number[] | readonly (readonly number[])[];
  readonly max_tokens: number;
  readonly seed: number;
};

/** Whether an engine whose next token is `next` passes for one that draws by position. */
async function passes(next: (drawing: Drawing) => number): Promise<boolean> {
  const answerOf = (prompt: readonly number[], { max_tokens: count, seed }: Asked): readonly number[] => {
    const ids: number[] = [];
    while (ids.length < count) ids.push(next({ ids: [...prompt, ...ids], seed, drawn: ids.length }));
    return ids;
  };
  const server = createServer((request, response) => {
    if (request.url !== '/v1/completions') return void response.writeHead(404).end('{}');
    void json(request).then((body) => {
      const asked = body as Asked;
      const prompts = asked.prompt.every((one) => typeof one === 'number') ? [asked.prompt] : asked.prompt;
      const choices = (prompts as readonly (readonly number[])[])
        .map((prompt, index) => ({ index, token_ids: answerOf(prompt, asked) }))
        .reverse();
      response.end(JSON.stringify({ choices }));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { questions, close } = connectionTo(
    `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    null,
  );
  try {
    return (await examine(questions, 'any', AbortSignal.timeout(30_000))).keyedByPosition;
  } finally {
    await close();
    server.close();
  }
}

/** What an engine is found out to do that renders requests to this, and knows of nothing else. */
async function foundOf(path: string, status: number, body: unknown) {
  const server = createServer((request, response) => {
    const isAsked = request.url === path;
    response.writeHead(isAsked ? status : 404).end(isAsked ? JSON.stringify(body) : '{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { questions, close } = connectionTo(`http://127.0.0.1:${port}`, null);
  try {
    return await examine(questions, 'any', AbortSignal.timeout(30_000));
  } finally {
    await close();
    server.close();
  }
}

/** Whether an engine that renders a request to these parameters passes for one without penalties of its own. */
const isNeutral = async (status: number, body: unknown): Promise<boolean> =>
  (await foundOf('/v1/completions/render', status, body)).neutralPenalties;

test('a model, or an operator, that adds a penalty where a request says nothing of it is known by what becomes of one', async () => {
  const rendered = (params: object): unknown => [{ token_ids: [1], sampling_params: params }];
  equal(await isNeutral(200, rendered({})), true);
  const none = { repetition_penalty: 1, presence_penalty: 0, frequency_penalty: 0 };
  equal(await isNeutral(200, rendered(none)), true);
  equal(await isNeutral(200, rendered({ ...none, repetition_penalty: 1.05 })), false);
  equal(await isNeutral(200, rendered({ ...none, presence_penalty: 1.5 })), false);
  equal(await isNeutral(200, rendered({ ...none, frequency_penalty: 0.1 })), false);
  equal(await isNeutral(403, rendered(none)), false);
  equal(await isNeutral(200, []), false);
  equal(await isNeutral(200, { sampling_params: none }), false);
});

test('an engine whose parsers are shown special tokens is known by what becomes of a chat', async () => {
  const shows = async (status: number, params: object): Promise<boolean> =>
    (await foundOf('/v1/chat/completions/render', status, { token_ids: [1], sampling_params: params }))
      .showsSpecials;
  equal(await shows(200, { skip_special_tokens: false }), true);
  equal(await shows(200, { skip_special_tokens: true }), false);
  equal(await shows(200, {}), false);
  equal(await shows(403, { skip_special_tokens: false }), false);
});

const drawnAt = (place: number, seed: number): number => scramble(scramble(seed) ^ place) % 50_000;
const byPosition = ({ ids, seed }: Drawing): number => drawnAt(ids.length, seed);

test('who draws by position is known by it, and two near-ties that fall the other way do not hide it', async () => {
  equal(await passes(byPosition), true);
  /** So many of the places that are asked for by themselves. */
  const ties = (count: number) => (drawing: Drawing) => {
    const isAlone = drawing.drawn === 0 && drawing.ids.length > 64;
    return byPosition(drawing) + (isAlone && drawing.ids.length <= 64 + count ? 1 : 0);
  };
  equal(await passes(ties(2)), true);
  equal(await passes(ties(3)), false);
});

test('a generator that begins again with each request does not pass', async () => {
  equal(await passes(({ seed, drawn }) => drawnAt(drawn, seed)), false);
});

test('tokens that are the same whatever the seed prove nothing', async () => {
  equal(await passes(({ ids }) => scramble(ids.length) % 50_000), false);
});
