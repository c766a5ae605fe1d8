/** `npm run build`: dist/synkti. */
import { Failure } from '../std/failure.ts';
import { buildExecutable } from './executable.ts';

try {
  const { file, bytes, packages } = await buildExecutable('dist/synkti', (line) => console.error(line));
  console.log(`${file}: ${(bytes / 1e6).toFixed(1)} MB, ${packages} packages inside`);
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
