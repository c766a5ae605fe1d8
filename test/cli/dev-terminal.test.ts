/** `synkti dev` on a real terminal: tmux holds one of 80 by 24 and tells what is on it. */
import { equal, match, ok } from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { clusterMark } from '../../src/cli/dev/environment.ts';
import { killMarked } from '../../src/cli/dev/kill.ts';
import { freePort } from '../../src/cli/dev/ports.ts';

const main = join(import.meta.dirname, '../../src/main.ts');
const skip = spawnSync('tmux', ['-V']).status !== 0 && 'no tmux on this machine';

async function until<T>(look: () => Promise<T | null>): Promise<T> {
  const deadline = performance.now() + 120_000;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    ok(performance.now() < deadline, 'waited in vain');
    await pause(100);
  }
}

test(
  'the table lives on the terminal, and Ctrl-C leaves the terminal and nothing else',
  { skip },
  async (t) => {
    const home = await mkdtemp(join(tmpdir(), 'synkti-tty-'));
    const dir = join(home, 'dev');
    const tmux = async (...args: readonly string[]): Promise<string> =>
      (await promisify(execFile)('tmux', ['-S', join(home, 'tmux'), ...args])).stdout;
    t.after(async () => {
      await tmux('kill-server').catch(() => '');
      await killMarked(clusterMark(dir));
      await rm(home, { recursive: true, force: true });
    });
    const dev = `${process.execPath} ${main} dev --nodes 1 --base-port ${await freePort()} --dir ${dir}`;
    // The shell outlives the Ctrl-C, to say how the command ended.
    const shell = `trap : INT; ${dev}; echo "code $?" > ${home}/ended; sleep 60`;
    await tmux('new-session', '-d', '-x', '80', '-y', '24', shell);
    const screen = await until(async () => {
      const text = await tmux('capture-pane', '-p');
      // The row is news from the node, the line from its log: either may come first.
      const told = [/^1 +us-east-1a +serving +ready/m, /^\d\d:\d\d:\d\d node 1 {2}engine\.ready /m];
      return told.every((line) => line.test(text)) ? text : null;
    });
    match(screen, /^NODE +ZONE +PHASE +ENGINE +RUN +WAIT +TOKENS\/S +MEMBERS +MOVED$/m);
    match(screen, /^Ctrl-C stops everything\.$/m);
    await tmux('send-keys', 'C-c');
    equal(await until(() => readFile(join(home, 'ended'), 'utf8').catch(() => null)), 'code 0\n');
    equal(existsSync(dir), false);
  },
);
