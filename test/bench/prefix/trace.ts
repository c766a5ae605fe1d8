/** Requests of a trace in the form of the Mooncake release (FAST'25): one JSON object a line, prompts as ids of blocks. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Blocks } from '../../../src/routing/blocks.ts';

export type TracedRequest = {
  readonly atMs: number;
  readonly outputTokens: number;
  /** Equal ids are equal blocks with equal blocks before them. */
  readonly blocks: Blocks;
};

const line = z.object({
  timestamp: z.number().min(0),
  output_length: z.int().min(0),
  hash_ids: z.array(z.int().min(0)).min(1),
});

export function readTrace(file: string): readonly TracedRequest[] {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((text) => text.trim() !== '');
  return lines.map((text) => {
    const { timestamp, output_length: outputTokens, hash_ids: blocks } = line.parse(JSON.parse(text));
    return { atMs: timestamp, outputTokens, blocks };
  });
}
