/** How vLLM is started. Its flags and variables were read in 0.32; later flags of the same name win, so ours come first. */
import { dirname, join } from 'node:path';
import type { EngineSpec } from './spec.ts';

/** vLLM's sockets between its processes are named <TMPDIR>/<uuid>, and the kernel takes 107 bytes. */
const scratchBytesMax = 107 - '/'.length - '00000000-0000-0000-0000-000000000000'.length;

/** RFC 6761: never the name of a host. */
const noHost = 'none.invalid';

type VllmOptions = {
  /** The program `vllm`, by path or by name. */
  readonly command: string;
  /** A path, or a name that vLLM knows. */
  readonly model: string;
  /** Name for clients; null: the model as given. */
  readonly servedName: string | null;
  readonly socket: string;
  /** Hosts from which it may fetch media that a request points to. */
  readonly mediaHosts: readonly string[];
  readonly extraArgs: readonly string[];
  /** Whether VLLM_BATCH_INVARIANT is set for it. */
  readonly batchInvariant: boolean;
};

export function vllmSpec(options: VllmOptions): EngineSpec {
  const { command, model, servedName, socket, mediaHosts, extraArgs, batchInvariant } = options;
  const args = [
    'serve',
    model,
    `--uds=${socket}`,
    `--served-model-name=${servedName ?? model}`,
    // Without it a request makes the engine ask whatever address it names: the metadata service, or other hosts of the
    // VPC. An empty list would allow all.
    '--allowed-media-domains',
    ...(mediaHosts.length === 0 ? [noHost] : mediaHosts),
    // Render, generate and derender: what carries chats with tools over the loss of a node.
    '--enable-scale-out',
    // Its own drain refuses work in ways that look like answers. The node has moved its streams before it asks.
    '--shutdown-timeout=0',
    // We ask every second; a line for each would be most of the log.
    '--disable-access-log-for-endpoints=/health,/metrics,/v1/models',
    ...extraArgs,
  ];
  const folder = join(dirname(socket), 'engine-tmp');
  const scratch = Buffer.byteLength(folder) <= scratchBytesMax ? folder : null;
  const env = {
    VLLM_NO_USAGE_STATS: '1',
    DO_NOT_TRACK: '1',
    NO_COLOR: '1',
    // Where a redirect leads to is held against no list.
    VLLM_MEDIA_URL_ALLOW_REDIRECTS: '0',
    // Hashes of prefix blocks are to be the same on every node.
    PYTHONHASHSEED: '0',
    // It leaves a dozen sockets and files behind even when it is asked to stop: let it be where we clear them away.
    ...(scratch === null ? {} : { TMPDIR: scratch }),
  };
  // The first request compiles what is compiled lazily, and a first one of few tokens kills vLLM on CPUs with AMX.
  const repeatable = batchInvariant || isSinglePrecision(extraArgs);
  return { command, args, env, socket, scratch, warmUp: true, repeatable };
}

/** In half precision near-ties fall one way or the other by what else is in the batch; in float32 none was seen to. */
function isSinglePrecision(args: readonly string[]): boolean {
  const given = args.map((arg, i) => (arg === '--dtype' ? args[i + 1] : /^--dtype=(.*)$/.exec(arg)?.[1]));
  const last = given.findLast((dtype) => dtype !== undefined);
  return last === 'float32' || last === 'float';
}
