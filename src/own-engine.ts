/** The engine of this node, as its settings have it: one that it supervises, or one that runs already. */
import type { Settings } from './config/settings.ts';
import { openExternalEngine } from './engines/external.ts';
import { openEngineHost, type EngineHost } from './engines/host.ts';
import { simulatedSpec } from './engines/simulated.ts';
import { engineSocket, type EngineSpec } from './engines/spec.ts';
import { vllmSpec } from './engines/vllm.ts';
import type { Report } from './node/facts.ts';
import { processes } from './os/processes.ts';
import { Failure } from './std/failure.ts';

type Process = {
  readonly nodeId: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** How to start this program again, which is also the simulated engine. */
  readonly respawn: Respawn;
  readonly report: Report;
};
type Respawn = Parameters<typeof simulatedSpec>[0]['respawn'];

/** null: this node has none, on purpose. */
export function openOwnEngine(settings: Settings, about: Process): EngineHost | null {
  const { nodeId, env, respawn, report } = about;
  if (settings.role === 'edge' || settings.engine === 'none') return null;
  if (typeof settings.engine === 'object') return openExternalEngine(settings.engine.url);
  const inherited = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return openEngineHost({
    spec:
      settings.engine === 'vllm'
        ? vllmOf(settings, env['VLLM_BATCH_INVARIANT'] === '1')
        : simulatedOf(settings, respawn),
    nodeId,
    dataDir: settings.dataDir,
    inherited: Object.fromEntries(inherited),
    processes,
    report,
  });
}

function vllmOf(settings: Settings, batchInvariant: boolean): EngineSpec {
  const { model, engineCommand, servedModelName, dataDir, mediaHosts, engineArgs } = settings;
  if (model === null) throw new Failure('invalid', '--model: vllm needs one: a path or a name that it knows');
  const socket = engineSocket(dataDir);
  return vllmSpec({
    command: engineCommand,
    model,
    servedName: servedModelName,
    socket,
    mediaHosts,
    extraArgs: engineArgs,
    batchInvariant,
  });
}

const simulatedOf = (settings: Settings, respawn: Respawn): EngineSpec =>
  simulatedSpec({
    respawn,
    servedName: servedName(settings),
    socket: engineSocket(settings.dataDir),
    extraArgs: settings.engineArgs,
  });

export const servedName = ({ servedModelName, model }: Settings): string =>
  servedModelName ?? model ?? 'simulated';
