/** The simulated engine as a program of its own, for tests: what `synkti simulated-engine` runs. */
import { runSimulatedEngine } from '../../../src/engines/simulated/run.ts';

const args = process.argv.slice(2);
process.exitCode = await runSimulatedEngine(args[0] === 'simulated-engine' ? args.slice(1) : args, {
  env: process.env,
  out: process.stdout,
  err: process.stderr,
  onSignal: (listener) => process.on('SIGTERM', listener).on('SIGINT', listener),
  respawn: (again) => ({ command: process.execPath, args: [process.argv[1]!, ...again] }),
});
process.exit();
