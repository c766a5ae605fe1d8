/**
 * Every setting of a node, once. The type `Settings`, the flags of `synkti run`, the variables, the keys of the
 * configuration file, `--help` and the README's table all derive from this table. A flag drops the unit of its
 * setting, because its value carries one: `drainMs` is `--drain 100s`, SYNKTI_DRAIN and `drain: 100s`.
 *
 * What all members must agree on is a constant of the protocol and not here.
 */
import type { ListedPeer } from '../roster/roster.ts';
import * as kinds from './kinds.ts';
import type { Kind } from './kinds.ts';
import * as peerKinds from './peers.ts';

type Setting<T> = {
  readonly kind: Kind<T>;
  readonly fallback: NoInfer<T>;
  /** A sentence without its full stop. */
  readonly help: string;
  /** What null, or a value that another setting decides, means. */
  readonly derived?: string;
  /** Variables of other programs that mean the same and give way to ours. */
  readonly honoured?: readonly string[];
};

const setting = <T>(described: Setting<T>): Setting<T> => described;

export const table = {
  cluster: setting<string | null>({
    kind: kinds.name,
    fallback: null,
    derived: "the instance's tag SynktiCluster, else synkti",
    help: 'cluster to belong to: instances with this tag SynktiCluster find each other',
  }),
  role: setting({
    kind: kinds.choice('worker', 'edge'),
    fallback: 'worker',
    help: 'worker runs an engine; edge only takes requests in and passes them on',
  }),
  nodeId: setting<string | null>({
    kind: kinds.name,
    fallback: null,
    derived: 'the EC2 instance id',
    help: 'name of this node in the list of --peers',
  }),
  host: setting<string | null>({
    kind: kinds.host,
    fallback: null,
    derived: "the instance's private IP",
    help: 'address to listen on for other nodes, and to tell them',
  }),
  peers: setting<readonly ListedPeer[] | null>({
    kind: peerKinds.peers,
    fallback: null,
    derived: 'whoever EC2 lists',
    help: 'the cluster without EC2: its nodes as name=peerId@host:port; mDNS finds those without @host:port',
  }),
  operators: setting<readonly string[]>({
    kind: peerKinds.peerIds,
    fallback: [],
    help: 'peer ids that may connect to the peer-to-peer network of this node without being members',
  }),
  apiHost: setting({
    kind: kinds.host,
    fallback: '0.0.0.0',
    help: 'address to listen on for clients',
  }),
  apiPort: setting({ kind: kinds.port, fallback: 8000, help: 'port of the OpenAI API and of /metrics' }),
  p2pPort: setting({ kind: kinds.port, fallback: 4001, help: 'port of the peer-to-peer network (libp2p)' }),
  peerPort: setting({
    kind: kinds.port,
    fallback: 4002,
    help: 'port for inference between nodes (mutual TLS)',
  }),
  dataDir: setting({
    kind: kinds.path,
    fallback: '/var/lib/synkti',
    help: "folder for the identity key, the members last known, the control socket and the engine's socket",
  }),
  engine: setting<kinds.EngineChoice>({
    kind: kinds.engine,
    fallback: 'vllm',
    derived: 'vllm; on an edge none',
    help: 'inference engine: the built-in simulated one, vllm, none, or the URL of one that runs already',
  }),
  model: setting<string | null>({
    kind: kinds.text,
    fallback: null,
    derived: 'simulated for the simulated engine; vllm needs one',
    help: 'model to serve: a path or a name the engine knows',
  }),
  servedModelName: setting<string | null>({
    kind: kinds.text,
    fallback: null,
    derived: 'the model',
    help: 'name under which clients ask for the model',
  }),
  engineArgs: setting<readonly string[]>({
    kind: kinds.words,
    fallback: [],
    help: "more arguments for the engine's command line",
  }),
  mediaHosts: setting<readonly string[]>({
    kind: kinds.hosts,
    fallback: [],
    help: 'hosts from which vLLM may fetch images, audio and video that a request points to',
  }),
  engineCommand: setting({ kind: kinds.text, fallback: 'vllm', help: 'program that starts vLLM' }),
  engineReadyMs: setting({
    kind: kinds.duration({ minMs: 1_000, maxMs: 3_600_000 }),
    fallback: 300_000,
    help: 'how long an engine may take to become ready before it counts as failed',
  }),
  region: setting<string | null>({
    kind: kinds.name,
    fallback: null,
    derived: "the instance's",
    honoured: ['AWS_REGION', 'AWS_DEFAULT_REGION'],
    help: 'AWS region',
  }),
  awsEndpoint: setting<string | null>({
    kind: kinds.url,
    fallback: null,
    derived: 'that of AWS',
    honoured: ['AWS_ENDPOINT_URL'],
    help: 'where the AWS APIs answer',
  }),
  imdsEndpoint: setting<string | null>({
    kind: kinds.url,
    fallback: null,
    derived: 'http://169.254.169.254',
    honoured: ['AWS_EC2_METADATA_SERVICE_ENDPOINT'],
    help: 'where the instance metadata service answers',
  }),
  discoveryMs: setting({
    kind: kinds.duration({ minMs: 500, maxMs: 600_000 }),
    fallback: 30_000,
    help: 'how often to look for new members by their EC2 tags',
  }),
  drainMs: setting({
    kind: kinds.duration({ minMs: 1_000, maxMs: 3_600_000 }),
    fallback: 100_000,
    help: 'how long a drain by SIGTERM or by an operator may take',
  }),
  apiKeys: setting<kinds.KeySource | null>({
    kind: kinds.keySource,
    fallback: null,
    derived: 'none: the API is open to all',
    help: 'who may use the API: a YAML list in a file, or ssm for the parameter /synkti/<cluster>/api-keys',
  }),
  tlsCert: setting<string | null>({
    kind: kinds.path,
    fallback: null,
    derived: 'none: clients talk plain HTTP',
    help: 'file with the certificate chain for clients, PEM; with it goes the key',
  }),
  tlsKey: setting<string | null>({
    kind: kinds.path,
    fallback: null,
    derived: 'none',
    help: 'file with the private key of that certificate, PEM',
  }),
  corsOrigins: setting<readonly string[]>({
    kind: kinds.origins,
    fallback: [],
    help: 'origins of web pages that may use the API from a browser; * for all',
  }),
  bodyBytesMax: setting({
    kind: kinds.size({ min: 1_024, max: 1_024 ** 3 }),
    fallback: 16 * 1_024 ** 2,
    help: 'largest request body that is taken',
  }),
  formBytesMax: setting({
    kind: kinds.size({ min: 1_024, max: 1_024 ** 3 }),
    fallback: 25 * 1_024 ** 2,
    help: 'largest form with a file (audio) that is taken',
  }),
  logLevel: setting({
    kind: kinds.choice('error', 'warn', 'info', 'debug'),
    fallback: 'info',
    help: 'least important log line that is written',
  }),
  logFormat: setting({
    kind: kinds.choice('auto', 'json', 'text'),
    fallback: 'auto',
    help: 'form of log lines; auto is text on a terminal and json elsewhere',
  }),
  faults: setting({
    kind: kinds.truth,
    fallback: false,
    help: 'let the control socket cut this node off its peers, for trials only',
  }),
} as const;

export type SettingName = keyof typeof table;
export type Settings = {
  readonly [K in SettingName]: (typeof table)[K] extends Setting<infer T> ? T : never;
};

export const settingNames = Object.keys(table) as readonly SettingName[];
/** The same table with the types of the values forgotten, for code that treats all settings alike. */
export const settingOf = (name: SettingName): Setting<unknown> => table[name] as Setting<unknown>;

/** `engineReadyMs` -> `engineReady`; `bodyBytesMax` -> `bodyMax`. */
export const keyOf = (name: SettingName): string => name.replace(/Ms(?=[A-Z]|$)|Bytes(?=[A-Z]|$)/, '');
const dashed = (name: SettingName): string =>
  keyOf(name).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
export const flagOf = (name: SettingName): string => `--${dashed(name)}`;
export const variableOf = (name: SettingName): string =>
  `SYNKTI_${dashed(name).toUpperCase().replaceAll('-', '_')}`;

/** The default in words, for `--help` and the README. */
export function fallbackOf(name: SettingName): string {
  const { kind, fallback, derived } = settingOf(name);
  if (derived !== undefined) return derived;
  const shown = String(kind.show(fallback));
  return shown === '' ? 'none' : shown;
}

/** The resolved settings as one flat object for the first log line, credentials masked. */
export function describe(settings: Settings): Readonly<Record<string, string | number | boolean | null>> {
  const shown = settingNames.map((name) => {
    const value: unknown = settings[name];
    return [keyOf(name), value === null ? null : settingOf(name).kind.show(value)] as const;
  });
  return Object.fromEntries(shown);
}
