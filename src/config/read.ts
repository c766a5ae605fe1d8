/**
 * Settings from flags, variables and a file: a flag wins over a variable, a variable over the file, the file over
 * the default. Every problem is reported, not the first one only, each as one line that says where it stands, what
 * it says and what was expected. Nothing unknown is passed over in silence: a misspelt setting must not look set.
 */
import { isMap, isNode, isScalar, LineCounter, parseDocument, type Document, type YAMLMap } from 'yaml';
import { maskText, type Shown, type Written } from './kinds.ts';
import { didYouMean } from './nearest.ts';
import {
  flagOf,
  keyOf,
  settingNames,
  settingOf,
  variableOf,
  type SettingName,
  type Settings,
} from './settings.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export type Given = {
  /** What stood after each flag; a flag that takes no value says `true`. */
  readonly flags: Readonly<Partial<Record<SettingName, string>>>;
  readonly env: Environment;
  readonly file: { readonly path: string; readonly text: string } | null;
};

type Reading =
  | { readonly type: 'settings'; readonly settings: Settings }
  | { readonly type: 'problems'; readonly problems: readonly string[] };

/** Names the configuration file where no `--config` does. */
export const configVariable = 'SYNKTI_CONFIG';
/** Variables with our prefix that are not settings: the last two mark the processes of `synkti dev`. */
const otherVariables: readonly string[] = [configVariable, 'SYNKTI_INSTANCE_ID', 'SYNKTI_DEV_DIR'];

/** What stands where a value should and cannot be one, in words. */
type Strange = { readonly strange: string };
/** A value and the place it was found in, as a person would name that place. */
type Found = { readonly written: Written | Strange; readonly place: string };
/** Where each setting that somebody set was found. */
type Places = Readonly<Partial<Record<SettingName, string>>>;

export function readSettings(given: Given): Reading {
  const file = readFile(given.file);
  const problems = [...file.problems, ...unknownVariables(given.env)];
  const values: Partial<Record<SettingName, unknown>> = {};
  const places: Record<string, string> = {};
  const broken = new Set<SettingName>();
  for (const name of settingNames) {
    const { kind, fallback } = settingOf(name);
    const found = fromFlag(name, given) ?? fromVariable(name, given.env) ?? file.found.get(name);
    if (found !== undefined) places[name] = found.place;
    const value =
      found === undefined ? fallback : isStrange(found.written) ? undefined : kind.parse(found.written);
    values[name] = value ?? fallback;
    if (value !== undefined) continue;
    broken.add(name);
    problems.push(`${found!.place}: ${shown(found!.written)} is not ${kind.expects}`);
  }
  const settings = derive(values as Settings, places);
  const judged = relations.filter(({ between }) => !between.some((name) => broken.has(name)));
  problems.push(...judged.flatMap((relation) => relation.problem(settings, places) ?? []));
  return problems.length > 0 ? { type: 'problems', problems } : { type: 'settings', settings };
}

function fromFlag(name: SettingName, { flags }: Given): Found | undefined {
  const written = flags[name];
  return written === undefined ? undefined : { written, place: flagOf(name) };
}

/** An empty variable is an unset one, as for most programs. */
function fromVariable(name: SettingName, env: Environment): Found | undefined {
  const place = [variableOf(name), ...(settingOf(name).honoured ?? [])].find((variable) => env[variable]);
  return place === undefined ? undefined : { written: env[place]!, place };
}

function unknownVariables(env: Environment): readonly string[] {
  const known = [...settingNames.map(variableOf), ...otherVariables];
  return Object.keys(env)
    .filter((variable) => variable.startsWith('SYNKTI_') && !known.includes(variable))
    .map((variable) => `${variable}: no such setting${didYouMean(variable, known)}`);
}

type FileReading = { readonly found: ReadonlyMap<SettingName, Found>; readonly problems: readonly string[] };

/** The failsafe schema keeps every scalar as written: `1.10` stays a name and `30s` needs no quotes. */
function readFile(file: Given['file']): FileReading {
  const found = new Map<SettingName, Found>();
  if (file === null) return { found, problems: [] };
  const lines = new LineCounter();
  const document = parseDocument(file.text, { schema: 'failsafe', lineCounter: lines, prettyErrors: false });
  const problems = document.errors.map((error) => {
    const { line } = lines.linePos(error.pos[0]);
    return `${file.path}:${line}: not YAML: ${error.message.split('\n')[0]!.toLowerCase()}`;
  });
  if (problems.length > 0) return { found, problems };
  const { contents } = document;
  if (contents === null || (isScalar(contents) && !contents.value)) return { found, problems: [] };
  if (!isMap(contents)) return { found, problems: [`${file.path}: not a list of \`setting: value\` lines`] };
  for (const { key, value } of contents.items as YAMLMap<unknown, unknown>['items']) {
    const written = String(isScalar(key) ? key.value : key);
    const name = settingNames.find((name) => keyOf(name) === written);
    const place = `${file.path}: ${written}`;
    if (name === undefined)
      problems.push(`${place}: no such setting${didYouMean(written, settingNames.map(keyOf))}`);
    else found.set(name, { written: writtenBy(value, document), place });
  }
  return { found, problems };
}

const nested: Strange = { strange: 'a nested value' };
/** YAML takes an unquoted `*.example` for one. */
const noAlias: Strange = { strange: 'an alias that means nothing (a value that begins with * needs quotes)' };

function writtenBy(node: unknown, document: Document): Written | Strange {
  try {
    const value: unknown = isNode(node) ? node.toJS(document) : node;
    return isWritten(value) ? value : nested;
  } catch (error) {
    if (error instanceof ReferenceError) return noAlias;
    throw error;
  }
}

const isWritten = (value: unknown): value is Written =>
  typeof value === 'string' || (Array.isArray(value) && value.every((item) => typeof item === 'string'));

const isStrange = (written: Written | Strange): written is Strange =>
  typeof written === 'object' && 'strange' in written;

/** Enough to recognise what was written, on one line, without what may be a password in it. */
function shown(written: Written | Strange): Shown {
  if (isStrange(written)) return written.strange;
  const text = maskText(typeof written === 'string' ? written : written.join(' '));
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

/** An edge has no engine and the simulated engine its own model, unless somebody said otherwise. */
function derive(settings: Settings, places: Places): Settings {
  const engine = settings.role === 'edge' && places.engine === undefined ? 'none' : settings.engine;
  const model = settings.model ?? (engine === 'simulated' ? 'simulated' : null);
  return { ...settings, engine, model };
}

type Relation = {
  /** It is not judged when one of these is wrong by itself already. */
  readonly between: readonly SettingName[];
  problem(settings: Settings, places: Places): string | null;
};

const relations: readonly Relation[] = [
  {
    between: ['role', 'engine'],
    problem: ({ role, engine }, places) =>
      role === 'edge' && engine !== 'none'
        ? `${places.engine}: an edge runs no engine, expected none or nothing at all`
        : null,
  },
  {
    between: ['role', 'engine'],
    problem: ({ role, engine }, places) =>
      role === 'worker' && engine === 'none'
        ? `${places.engine}: a worker needs an engine, none is for ${flagOf('role')} edge`
        : null,
  },
  {
    between: ['engine', 'model'],
    problem: ({ engine, model }) =>
      engine === 'vllm' && model === null
        ? `${flagOf('model')} or ${variableOf('model')}: missing, expected what vllm shall serve: a path or a name`
        : null,
  },
  {
    between: ['peers', 'apiKeys'],
    problem: ({ peers, apiKeys }, places) =>
      peers !== null && apiKeys?.from === 'ssm'
        ? `${places.apiKeys}: with ${flagOf('peers')} there is no AWS to ask, expected a path`
        : null,
  },
  {
    between: ['tlsCert', 'tlsKey'],
    problem: ({ tlsCert, tlsKey }) =>
      (tlsCert === null) === (tlsKey === null)
        ? null
        : `${flagOf(tlsCert === null ? 'tlsCert' : 'tlsKey')}: missing, certificate and key go together`,
  },
  {
    between: ['peers', 'nodeId'],
    problem: ({ peers, nodeId }, places) =>
      peers === null && nodeId !== null
        ? `${places.nodeId}: on EC2 a node has the name of its instance, expected nothing without ${flagOf('peers')}`
        : null,
  },
  {
    between: ['host'],
    problem: ({ host }, places) =>
      host !== null && /^(0\.0\.0\.0|[0:]+)$/.test(host)
        ? `${places.host}: ${host} is no address that other nodes could be told, expected one of this machine`
        : null,
  },
  needed('nodeId', 'the name of this node in the list'),
  needed('host', 'where the others reach this node'),
  distinct('apiPort', 'p2pPort'),
  distinct('apiPort', 'peerPort'),
  distinct('p2pPort', 'peerPort'),
];

/** Without EC2 nobody tells a node what it is called and where it is. */
function needed(missing: 'nodeId' | 'host', expected: string): Relation {
  return {
    between: ['peers', missing],
    problem: (settings) =>
      settings.peers !== null && settings[missing] === null
        ? `${flagOf(missing)} or ${variableOf(missing)}: missing, with ${flagOf('peers')} expected ${expected}`
        : null,
  };
}

function distinct(one: SettingName, other: SettingName): Relation {
  return {
    between: [one, other],
    problem: (settings, places) => {
      const [late, early] = places[other] === undefined ? [one, other] : [other, one];
      return settings[one] === settings[other]
        ? `${places[late] ?? keyOf(late)}: ${settings[one]} is the port of ${places[early] ?? keyOf(early)} already`
        : null;
    },
  };
}
