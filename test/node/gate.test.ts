import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { Gate } from '../../src/node/gate.ts';
import type { StreamLog } from '../../src/node/journals.ts';
import { memberId } from '../../src/std/member-id.ts';
import type { Mark } from '../../src/stream/mark.ts';
import { VirtualClock } from './world.ts';

/** One record of ten bytes for each token, and a holder that has what the test says that it has. */
function rig(options: { readonly commits: boolean; readonly streamed?: boolean; readonly from?: Mark }) {
  const clock = new VirtualClock();
  const gate = new Gate({ stream: 's', clock, from: null, streamed: true, ...options });
  /** What each holder has of it. */
  let had = [-1];
  const out: string[] = [];
  /** Of each record, whether somebody waits for a copy of it. */
  const urgent: boolean[] = [];
  const opening = 5;
  let written = opening;
  const log: StreamLog = {
    id: 's',
    append: (bytes, isUrgent) => {
      urgent.push(isUrgent);
      return (written += bytes.length);
    },
    holders: () => had.map((_, i) => memberId(`${i}`)),
    reach: () => ({
      best: had.length === 0 ? Infinity : Math.max(...had),
      each: Math.min(...had),
    }),
    end: () => {},
  };
  gate.attach(log, opening);
  return {
    ...{ clock, gate, out, urgent, written: () => written },
    copied: (...bytes: number[]): void => {
      had = bytes;
      gate.copied(bytes.filter((some) => some >= 0).length);
    },
    say: (data: string, tokens: number): void => {
      gate.append(new Uint8Array(10), false);
      gate.say({ data, mark: { tokens, hash: tokens } }, (event) => out.push(event.data));
    },
  };
}

test('what cannot be made again waits for its copy, however much waits before it', async () => {
  const { clock, copied, out, say } = rig({ commits: true });
  say('a', 1);
  await clock.run(1_900);
  say('b', 2);
  copied(15);
  deepEqual(out, ['a']);
  // Once what came first would have been let go uncopied.
  await clock.run(200);
  say('c', 3);
  deepEqual(out, ['a']);
  copied(25);
  deepEqual(out, ['a', 'b']);
  await clock.run(1_900);
  deepEqual(out, ['a', 'b']);
  copied(35);
  deepEqual(out, ['a', 'b', 'c']);
});

test('nothing waits for a copy longer than two seconds', async () => {
  const { clock, out, say } = rig({ commits: true });
  say('a', 1);
  await clock.run(100);
  say('b', 2);
  await clock.run(1_899);
  deepEqual(out, []);
  await clock.run(1);
  deepEqual(out, ['a']);
  await clock.run(100);
  deepEqual(out, ['a', 'b']);
});

test('where nobody can have a copy nothing waits', () => {
  const { copied, out, say } = rig({ commits: true });
  copied();
  say('a', 1);
  deepEqual(out, ['a']);
});

test('of what can be made again only the beginning waits, until somebody knows of the stream at all', () => {
  const { copied, gate, out, say, urgent } = rig({ commits: false });
  say('a', 1);
  say('b', 2);
  equal(out.length, 0);
  copied(4);
  equal(out.length, 0);
  copied(5);
  deepEqual(out, ['a', 'b']);
  say('c', 3);
  gate.append(new Uint8Array(10), true);
  gate.finish(() => out.push('end'));
  deepEqual(out, ['a', 'b', 'c', 'end']);
  deepEqual(urgent, [false, false, false, false]);
});

test('each copy is waited for, soon only one of them, and after a while none', async () => {
  for (const commits of [false, true]) {
    const told = async (...copies: (readonly [atMs: number, ...bytes: number[]])[]): Promise<number> => {
      const { clock, copied, out, say } = rig({ commits });
      copied(-1, -1);
      say('a', 1);
      let ms = 0;
      for (; out.length === 0; ms++) {
        const [, ...bytes] = copies.find(([at]) => at === ms) ?? [];
        if (bytes.length > 0) copied(...bytes);
        else await clock.run(1);
      }
      return ms - 1;
    };
    const all = commits ? 15 : 5;
    equal(await told([20, -1, all], [60, all, all]), 60);
    equal(await told([20, -1, all]), 1_000);
    equal(await told([20, -1, all], [300, all]), 300);
    equal(await told([1_700, -1, all]), 1_700);
    equal(await told([20, all - 1, all - 1]), 2_000);
  }
});

test('an answer that is or becomes more than plain text is known to others before its client hears it', () => {
  const spoken = { type: 'spoken', ids: [1], delta: {}, finish: null, fingerprint: null } as const;
  const first = rig({ commits: false });
  first.gate.write([spoken]);
  first.gate.say({ data: 'a', mark: { tokens: 1, hash: 1 } }, ({ data }) => first.out.push(data));
  first.copied(first.written() - 1);
  deepEqual(first.out, []);
  first.copied(first.written());
  deepEqual(first.out, ['a']);
  first.gate.write([spoken]);
  first.gate.say({ data: 'b', mark: { tokens: 2, hash: 2 } }, ({ data }) => first.out.push(data));
  deepEqual(first.out, ['a', 'b']);
  const { copied, gate, out, say, urgent, written } = rig({ commits: false });
  copied(5);
  say('a', 1);
  gate.write([{ type: 'unfit', spoken: true }]);
  gate.say({ data: 'b', mark: { tokens: 2, hash: 2 } }, ({ data }) => out.push(data));
  deepEqual(out, ['a']);
  deepEqual(urgent, [false, true]);
  copied(written());
  deepEqual(out, ['a', 'b']);
  say('c', 3);
  deepEqual(out, ['a', 'b', 'c']);
});

test('of what cannot be made again the end waits as well', () => {
  const { copied, gate, out, say, urgent } = rig({ commits: true });
  say('a', 1);
  copied(15);
  gate.append(new Uint8Array(10), true);
  gate.finish(() => out.push('end'));
  deepEqual(out, ['a']);
  copied(25);
  deepEqual(out, ['a', 'end']);
  deepEqual(urgent, [true, true]);
});

test('a client that goes on is told nothing twice, and hears of it where the answer is another', () => {
  const { copied, out, say } = rig({ commits: false, from: { tokens: 2, hash: 2 } });
  for (const [at, data] of ['a', 'b', 'c'].entries()) say(data, at + 1);
  copied(35);
  deepEqual(out, ['c']);
  const other = rig({ commits: false, from: { tokens: 2, hash: 7 } });
  let diverged = 0;
  other.gate.onDiverged = () => (diverged += 1);
  for (const [at, data] of ['a', 'b', 'c'].entries()) other.say(data, at + 1);
  equal(diverged, 1);
});

test('[J5] whose log is kept no more says what waits, and what comes, and tells that it was', () => {
  const { copied, gate, out, say } = rig({ commits: true });
  let told = 0;
  gate.onOutgrown = () => told++;
  copied(5);
  say('a', 1);
  deepEqual(out, []);
  gate.outgrown();
  say('b', 2);
  deepEqual([out, told, gate.log, gate.copies], [['a', 'b'], 1, null, 0]);
});

test('who is fenced off says what still waits, and who has no client any more says nothing', async () => {
  const { clock, gate, out, say } = rig({ commits: true });
  say('a', 1);
  gate.fenced();
  deepEqual(out, ['a']);
  const left = rig({ commits: true });
  left.say('a', 1);
  left.gate.shut();
  await clock.run(3_000);
  await left.clock.run(3_000);
  deepEqual(left.out, []);
});

test('of an answer that is given as a whole nobody waits for a copy before its end', () => {
  for (const commits of [false, true]) {
    const { copied, gate, out, urgent } = rig({ commits, streamed: false });
    for (const isLast of [false, false, true]) gate.append(new Uint8Array(10), isLast);
    deepEqual(urgent, [false, false, true]);
    gate.finish(() => out.push('all'));
    equal(out.length, 0);
    copied(35);
    deepEqual(out, ['all']);
  }
});
