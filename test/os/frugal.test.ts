import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { startFrugally } from '../../src/os/frugal.ts';

/** A process that starts over as often as it is told, with the environment that it is given. */
function lives(env: Record<string, string | undefined>) {
  const starts: { readonly args: readonly string[]; readonly env: Record<string, string | undefined> }[] = [];
  const start = (args: readonly string[], given: Record<string, string | undefined>): void => {
    starts.push({ args, env: given });
    startFrugally({
      env: given,
      execPath: '/opt/synkti',
      argv0: 'synkti',
      argv: ['/opt/synkti', '/opt/synkti', ...args.slice(1)],
      execve: (_, again, next) => start(again ?? [], { ...next }) as never,
    });
  };
  start(['synkti', 'run', '--api-port', '80'], env);
  return starts;
}

test('a node starts once more with the same words, and what it starts itself inherits nothing of it', () => {
  const args = ['synkti', 'run', '--api-port', '80'];
  deepEqual(lives({ HOME: '/root' }), [
    { args, env: { HOME: '/root' } },
    { args, env: { HOME: '/root' } },
  ]);
});

test('what somebody set for the allocator stays, here and for the engine', () => {
  const env = { MALLOC_ARENA_MAX: '4' };
  deepEqual(
    lives({ ...env }).map((start) => start.env),
    [env],
  );
});
