import type { Cli } from './cli.ts';
export function devCommand({ program }: Cli): void {
  program.command('dev').summary('run a cluster on this machine');
}
