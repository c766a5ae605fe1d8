import type { Cli } from './cli.ts';
export function chaosCommand({ program }: Cli): void {
  program.command('chaos').summary('break a node of the development cluster');
}
