/**
 * Ends the cluster when `synkti dev` itself is killed and can end nothing any more. A shell waits for the end of a
 * pipe that only we hold; the kernel closes it however we end. It then kills every process that carries the
 * cluster's mark and removes the cluster's files. A shell, because it costs one megabyte and not a Node.js.
 */
import { spawn } from 'node:child_process';
import type { Mark } from '../../os/proc.ts';

/** Three times, for a process that one of the killed was just starting. */
const script = `
read -r order
if [ "$order" = stand-down ]; then exit 0; fi
mark="$1"; output="$2"; shift 2
marked() {
  if [ -d /proc/self ]; then
    grep -lzxF -- "$mark" /proc/[0-9]*/environ
    find /proc/[0-9]*/fd/1 -maxdepth 0 -lname "$output*"
  else
    ps -axwwE -o pid=,command= | grep -F " $mark " | awk -v self=$$ '$1 != self {print $1}'
  fi | sed 's#^/proc/\\([0-9]*\\)/.*#\\1#'
}
for round in 1 2 3; do marked 2>/dev/null | xargs kill -9 2>/dev/null; sleep 0.1; done
rm -rf -- "$@"
rmdir -- "\${output%/node-}"
`;

type Guard = {
  /** The cluster has been stopped in good order: do nothing when we end. */
  standDown(): void;
};

/** `mark`: of every process to end, by one variable; `files`: what to remove. */
export function openGuard({ environment, output }: Mark, files: readonly string[]): Guard {
  const [variable = ''] = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const guard = spawn('/bin/sh', ['-c', script, 'synkti-dev-guard', variable, output, ...files], {
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
