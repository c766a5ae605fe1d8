/** A CPU profile of a running Node.js process's main thread, through its inspector, which a SIGUSR1 opens. */
import { writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

const inspector = 'http://127.0.0.1:9229/json';
const openMs = 10_000;
const sampleUs = 500;

/** For chrome://inspect and its like, in `file`. */
export async function profiled<T>(pid: number, file: string, work: () => Promise<T>): Promise<T> {
  process.kill(pid, 'SIGUSR1');
  const socket = new WebSocket(await endpoint());
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error('the inspector does not answer'));
  });
  const answers = new Map<number, (result: unknown) => void>();
  socket.onmessage = ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { readonly id: number; readonly result: unknown };
    answers.get(id)?.(result);
  };
  let calls = 0;
  const call = (method: string, params: object = {}): Promise<unknown> =>
    new Promise((resolve) => {
      const id = ++calls;
      answers.set(id, resolve);
      socket.send(JSON.stringify({ id, method, params }));
    });
  await call('Profiler.enable');
  await call('Profiler.setSamplingInterval', { interval: sampleUs });
  await call('Profiler.start');
  const done = await work();
  const { profile } = (await call('Profiler.stop')) as { readonly profile: unknown };
  await writeFile(file, JSON.stringify(profile));
  socket.close();
  return done;
}

async function endpoint(): Promise<string> {
  for (const late = performance.now() + openMs; ; await pause(100)) {
    try {
      const [target] = (await (await fetch(inspector)).json()) as { webSocketDebuggerUrl: string }[];
      return target!.webSocketDebuggerUrl;
    } catch (error) {
      if (!(error instanceof TypeError) || performance.now() > late) throw error;
    }
  }
}
