/** The law of resuming for chats that reason and call: another entry node tells them as the first one would have. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '../../src/std/bytes.ts';
import { instant } from '../../src/std/time.ts';
import { meet, restore } from '../../src/stream/carrier.ts';
import type { LegRequest } from '../../src/stream/continuation.ts';
import { eventId, isSame, type Mark, type Said } from '../../src/stream/mark.ts';
import {
  openingBytes,
  readLog,
  recordBytes,
  recordIn,
  tokensIn,
  type LogRecord,
} from '../../src/stream/record.ts';
import { resumed } from '../../src/stream/state.ts';
import { ask, converse, type Cut, type Told } from './conversation.ts';
import { ability, scenarios, understood } from './parsed-chats.ts';
import { answerIds, parsingEngine, type Sizes } from './parsing-engine.ts';
import { endApart } from './scripted-engine.ts';

const bySize: Readonly<Record<string, Sizes>> = {
  '': () => 1,
  ', in mixed chunks': (chunk) => [1, 3, 2, 7][chunk % 4]!,
};
const opening = openingBytes({
  ...{ endpoint: 'chat', model: 'tiny', raw: '{}', owner: 'o', digest: 'd', named: null, apart: false },
  engines: { maxModelLen: 4_096, ability, seed: 5 },
});
const bytesOf = (records: readonly LogRecord[]): Uint8Array =>
  records.reduce((into, one) => into.raw(recordBytes(one)), new ByteWriter().raw(opening)).bytes();

const placesIn = (said: readonly Said[]): readonly Mark[] =>
  said.map(({ mark }) => mark).filter(({ tokens }) => tokens > 0);

for (const [name, asked] of Object.entries(scenarios)) {
  for (const [how, sizes] of Object.entries(bySize)) {
    const request = ask('chat', asked, { ability });
    const engine = (leg: LegRequest, number: number): readonly string[] => parsingEngine(leg, number, sizes);
    const elsewhere = (leg: LegRequest, number: number): readonly string[] =>
      parsingEngine(leg, number + 100, sizes);
    const undisturbed = converse(request, engine, []);
    const wanted = understood(undisturbed.sent);
    const places = placesIn(undisturbed.said);

    const again = (
      records: readonly LogRecord[],
      from: Mark | null,
      cuts: readonly (Cut | undefined)[] = [],
    ) => {
      const { carrier, events } = restore(request, readLog(bytesOf(records))!.records.map(recordIn))!;
      if (from !== null) meet(carrier, from);
      const rest = converse(request, elsewhere, cuts, resumed(request, carrier, instant(0)));
      return { all: [...events, ...rest.said], rest };
    };

    test(`[S30] ${name}${how}: wherever its log ends, the rest is told as it would have been`, () => {
      for (let end = 0; end <= undisturbed.records.length; end++) {
        const { all, rest } = again(undisturbed.records.slice(0, end), null);
        const heard = understood(all.map(({ data }) => data));
        const knowsHead = undisturbed.records.slice(0, end).some(({ type }) => type === 'born');
        if (knowsHead) deepEqual(heard, wanted, `after ${end} records`);
        else deepEqual({ ...heard, heads: [] }, { ...wanted, heads: [] }, `after ${end} records`);
        ok(rest.closed);
        equal(new Set(all.map(({ mark }) => eventId('s', mark))).size, all.length, 'no two have one mark');
        ok(isSame(all.at(-1)!.mark, places.at(-1)!), 'and they end at the same');
      }
    });

    test(`[S30] ${name}${how}: what is written down by the time of an event gives that event again`, () => {
      for (const { mark, records } of undisturbed.said) {
        const { all } = again(undisturbed.records.slice(0, records), mark);
        ok(all.some((said) => isSame(said.mark, mark)));
      }
    });

    test(`[S32] ${name}${how}: a client that has more than the log is told the rest of it, from its place on`, () => {
      const apart = converse(request, (leg, number) => endApart(engine(leg, number)), []);
      for (const { said, records: all } of [undisturbed, apart]) {
        const born = all.findIndex((one) => one.type === 'spoken') + 1;
        for (const place of placesIn(said)) {
          for (const end of [born, born + 1, born + 5]) {
            const records = all.slice(0, end);
            if (tokensIn({ ...readLog(bytesOf(records))! }) >= place.tokens) continue;
            const { all: second } = again(records, place);
            const had = said.slice(0, placeIn(said, place) + 1);
            const told = [...had, ...second.slice(placeIn(second, place) + 1)];
            deepEqual(
              understood(told.map(({ data }) => data)),
              wanted,
              `${place.tokens} tokens, ${end} records`,
            );
          }
        }
      }
    });

    test(`[S30] ${name}${how}: one that was resumed is continued once more, and resumed once more`, () => {
      for (let end = 4; end < undisturbed.records.length; end += 5) {
        const records = undisturbed.records.slice(0, end);
        // What is rendered comes, and what is generated then breaks off.
        const second = again(records, null, [undefined, { after: 3, by: 'eof' }]);
        deepEqual(understood(second.all.map(({ data }) => data)), wanted);
        for (let later = 0; later <= second.rest.records.length; later += 2) {
          const { all } = again([...records, ...second.rest.records.slice(0, later)], null);
          deepEqual(understood(all.map(({ data }) => data)), wanted, `${end} and ${later} records`);
        }
      }
    });
  }
}

function placeIn(said: readonly Said[], place: Mark): number {
  const at = said.findIndex(({ mark }) => isSame(mark, place));
  ok(at >= 0, `no event has the mark of ${place.tokens} tokens`);
  return at;
}

const told = (asked: Record<string, unknown>, cuts: readonly Cut[] = []): Told =>
  converse(ask('chat', asked, { ability }), parsingEngine, cuts);

test('[S30] a log of a parsed chat read again is what was written, after a move too', () => {
  for (const asked of Object.values(scenarios)) {
    for (const cuts of [[], [{ after: 9, by: 'eof' } as const]]) {
      const { records } = told(asked, cuts);
      ok(records.some(({ type }) => type === 'spoken'));
      deepEqual(readLog(bytesOf(records))?.records, records);
    }
  }
});

test('[S30] who does not know how a chat is written down hears that it cannot go on with it', () => {
  const { records } = told(scenarios['a plain chat that turns to reasoning']);
  const known = records.filter(({ type }) => type !== 'spoken');
  deepEqual(
    known.map(({ type }) => type),
    ['born', 'said', 'unfit'],
  );
  // The kind that every version knows; its body says more to those who read it.
  equal(recordBytes({ type: 'unfit', spoken: true })[0], recordBytes({ type: 'unfit', spoken: false })[0]);
});

test('[S30] a token of a parsed chat takes up as much of a log as one of a plain chat', () => {
  const { records } = told(scenarios['a chat with calls']);
  const spoken = records.filter((one) => one.type === 'spoken');
  const calls = spoken.filter(({ delta }) => JSON.stringify(delta).includes('"name"'));
  const rest = spoken.filter((one) => !calls.includes(one));
  const bytes = rest.reduce((sum, one) => sum + recordBytes(one).length, 0);
  ok(
    rest.length >= answerIds.length - 3 && bytes / rest.length <= 10,
    `${bytes / rest.length} bytes a token`,
  );
});

test('[S30] deltas of every shape come back as they were told', () => {
  const deltas: readonly Record<string, unknown>[] = [
    {},
    { content: '' },
    { content: '世\n' },
    { reasoning: '🐈' },
    { content: 'a', reasoning: 'b' },
    { tool_calls: [{ index: 300, function: { arguments: '{"é":' } }] },
    { tool_calls: [{ index: 0, id: 'x', type: 'function', function: { name: 'f', arguments: '' } }] },
    { tool_calls: [0, 1].map((index) => ({ index, function: { arguments: '}' } })) },
    { reasoning_content: 'of another engine' },
  ];
  const records = deltas.map((delta, i): LogRecord => ({
    ...{ type: 'spoken', delta, ids: Array.from({ length: i * 3 }, (_, at) => at * 40_000) },
    ...(i % 2 === 0
      ? { finish: null, fingerprint: null }
      : { finish: { reason: 'stop', stopReason: i }, fingerprint: 'f' }),
  }));
  deepEqual(readLog(bytesOf(records))?.records, records);
  // A shape that a later version may have.
  const later = new ByteWriter()
    .varint(8)
    .sized(Uint8Array.of(7 * 2))
    .bytes();
  const read = readLog(new ByteWriter().raw(bytesOf(records)).raw(later).bytes());
  deepEqual(read?.records.at(-1), { type: 'unfit', spoken: false });
  equal(restore(ask('chat', scenarios['a chat with calls'], { ability }), read!.records.map(recordIn)), null);
});
