/**
 * Ends the cluster when `synkti dev` itself is killed and can end nothing any more. A shell waits for the end of a
 * pipe that only we hold; the kernel closes it however we end. It then kills every process that carries the
 * cluster's mark and removes the cluster's files. A shell, because it costs one megabyte and not a Node.js.
 */
import { spawn } from 'node:child_process';

/** Twice, for a process that one of the killed was just starting. */
const script = `
read -r order
if [ "$order" = stand-down ]; then exit 0; fi
marked() {
  if [ -d /proc/self ]; then
    for e in /proc/[0-9]*/environ; do
      tr '\\0' '\\n' <"$e" 2>/dev/null | grep -qxF "$1" && p="\${e#/proc/}" && echo "\${p%/environ}"
    done
  else
    ps -axwwE -o pid=,command= | grep -F " $1 " | awk '{print $1}'
  fi
}
mark="$1"; shift
for round in 1 2 3; do marked "$mark" | xargs kill -9 2>/dev/null; sleep 0.1; done
rm -rf -- "$@"
`;

export type Guard = {
  /** The cluster has been stopped in good order: do nothing when we end. */
  standDown(): void;
};

/** `mark`: NAME=value in the environment of every process to end; `files`: what to remove. */
export function openGuard(mark: string, files: readonly string[]): Guard {
  const guard = spawn('/bin/sh', ['-c', script, 'synkti-dev-guard', mark, ...files], {
    // Of its own session: a Ctrl-C on the terminal is not for it.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { PATH: '/usr/bin:/bin' },
  });
  guard.unref();
  // It died before us: then a kill of `synkti dev` leaves processes behind, and nothing worse.
  guard.stdin.on('error', () => guard.stdin.destroy());
  return { standDown: () => void guard.stdin.end('stand-down\n') };
}
