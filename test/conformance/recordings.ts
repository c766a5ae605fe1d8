/** What the real vLLM did, one small file for each exchange, made by `npm run e2e:vllm -- --record`. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Json } from './shape.ts';

const folder = join(import.meta.dirname, '..', 'real', 'recordings');
const fileOf = (name: string): string => join(folder, `${name}.json`);

export const recordingOf = async (name: string): Promise<Json> =>
  JSON.parse(await readFile(fileOf(name), 'utf8')) as Json;

export async function record(name: string, observation: Json): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(fileOf(name), `${JSON.stringify(observation)}\n`);
}

export const recordedNames = async (): Promise<readonly string[]> =>
  (await readdir(folder))
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length));

export const forget = (name: string): Promise<void> => rm(fileOf(name));
