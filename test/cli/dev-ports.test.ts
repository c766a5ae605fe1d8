import { equal, ok } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { freePort } from '../../src/cli/dev/ports.ts';

const ports = new URL('../../src/cli/dev/ports.ts', import.meta.url).href;

test('no port is given to a node that belongs to another one, whether that one listens just now or not', async () => {
  const isTaken = (port: number): boolean => port % 2 === 0;
  for (let tries = 0; tries < 20; tries++) {
    const port = await freePort(1, isTaken);
    ok(!isTaken(port), `port ${port}`);
  }
});

test('processes that draw ports at once, and listen on none of them yet, get different ones', async () => {
  const count = 200;
  // Each holds what it drew until all have drawn: its standard input ends then.
  const draw = `
    import { freePort } from ${JSON.stringify(ports)};
    const drawn = [];
    for (let i = 0; i < ${count / 2}; i++) {
      const first = await freePort(2);
      drawn.push(first, first + 1);
    }
    console.log(JSON.stringify(drawn));
    process.stdin.resume();
  `;
  const drawing = Array.from({ length: 3 }, () => {
    const { child } = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', draw], {
      timeout: 60_000,
    });
    const answer = new Promise<number[]>((resolve, reject) => {
      let said = '';
      child.stdout?.on('data', (text: string) => {
        said += text;
        if (said.endsWith('\n')) resolve(JSON.parse(said) as number[]);
      });
      child.once('close', () => {
        reject(new Error(`ended having said: ${said}`));
      });
    });
    return { child, answer };
  });
  const drawn = (await Promise.all(drawing.map(({ answer }) => answer))).flat();
  for (const { child } of drawing) child.stdin?.end();
  equal(drawn.length, 3 * count);
  equal(new Set(drawn).size, drawn.length, 'two got the same');
});
