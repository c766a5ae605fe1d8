/** `npm run bench:start`: how long dist/synkti takes to say its version. A number to read, not a test: it varies. */
import { execFileSync } from 'node:child_process';

const runs = 21;
const file = process.argv[2] ?? 'dist/synkti';
const times = Array.from({ length: runs }, () => {
  const from = performance.now();
  execFileSync(file, ['--version'], { env: {} });
  return performance.now() - from;
}).sort((a, b) => a - b);
const [minMs, medianMs, maxMs] = [times[0], times[(runs - 1) / 2], times.at(-1)].map((ms) => Math.round(ms!));
console.log(JSON.stringify({ file, runs, minMs, medianMs, maxMs }));
