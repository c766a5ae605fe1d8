/** A development cluster in a process of its own, to be killed. Tells its parent when it is ready. */
import { startDevCluster } from '../../src/cli/dev/cluster.ts';

const [dir = '', basePort = '', standIn = ''] = process.argv.slice(2);
await startDevCluster(
  {
    dir,
    basePort: Number(basePort),
    nodes: 2,
    flags: [],
    env: process.env,
    program: (args) => ({ command: process.execPath, args: [standIn, ...args] }),
    readyMs: 20_000,
    replaceAfterMs: 100,
    onEvent: () => undefined,
  },
  new AbortController().signal,
);
process.send?.('ready');
