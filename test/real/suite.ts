/** Plays the list of exchanges to the real vLLM: to record what it does, or to compare with what was recorded. */
import { differencesOf, playAll } from '../conformance/play.ts';
import { forget, record, recordedNames, recordingOf } from '../conformance/recordings.ts';
import { realVllm } from '../conformance/targets.ts';
import type { Progress } from './install.ts';
import type { RealVllm } from './vllm.ts';

export async function recordAll(real: RealVllm, only: readonly string[], report: Progress): Promise<number> {
  const names = new Set<string>();
  await playAll(realVllm(real), only, async (name, play) => {
    report(name);
    names.add(name);
    await record(name, await play());
  });
  if (only.length === 0) for (const name of await recordedNames()) if (!names.has(name)) await forget(name);
  return names.size;
}

/** How many exchanges were played, and every place where the engine now does something else. */
export async function compareAll(
  real: RealVllm,
  only: readonly string[],
  report: Progress,
): Promise<{ readonly exchanges: number; readonly different: readonly string[] }> {
  let exchanges = 0;
  const different: string[] = [];
  await playAll(realVllm(real), only, async (name, play) => {
    exchanges++;
    const found = await differencesOf(name, play, await recordingOf(name));
    report(found.length === 0 ? name : `${name}: differs`);
    for (const { path, recorded, seen } of found)
      different.push(`${name}${path}: ${recorded} became ${seen}`);
  });
  return { exchanges, different };
}
