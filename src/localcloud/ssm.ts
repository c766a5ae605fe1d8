/**
 * SSM's parameter store, in memory: what a bootstrap writes and a node reads. Nothing is encrypted for real; a
 * SecureString read without WithDecryption shows an opaque text, so that a caller who forgot it notices.
 * (Systems Manager API Reference: GetParameter, GetParameters, GetParametersByPath, PutParameter.)
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../node/ports.ts';
import type { WallTime } from '../std/time.ts';
import { AwsError } from './wire/aws-error.ts';
import type { Api, Call } from './wire/call.ts';

const kinds = ['String', 'StringList', 'SecureString'] as const;

type Version = { readonly value: string; readonly type: (typeof kinds)[number]; readonly at: WallTime };
/** The newest version last; `dropped` older ones are forgotten but keep their numbers. */
type Parameter = { versions: readonly Version[]; dropped: number };

type Store = {
  readonly parameters: Map<string, Parameter>;
  readonly clock: Clock;
  /** `arn:aws:ssm:<region>:<account>:parameter`, to which a name is appended. */
  readonly arnPrefix: string;
};

type SsmOptions = { readonly account: string; readonly region: string; readonly clock: Clock };

/** Standard parameters: AWS keeps 100 versions, 4 KB each, 10,000 names. */
const versionsMax = 100;
const valueCharactersMax = 4096;
const parametersMax = 10_000;

const name = z.string().min(1).max(1011);
const pageSize = z.int().min(1).max(10).default(10);
const decrypt = z.boolean().default(false);

const operations: Readonly<Record<string, (store: Store, input: unknown) => object>> = {
  PutParameter: putParameter,
  GetParameter: getParameter,
  GetParameters: getParameters,
  GetParametersByPath: getParametersByPath,
};

export function openSsm({ account, region, clock }: SsmOptions): Api {
  const store: Store = {
    parameters: new Map(),
    clock,
    arnPrefix: `arn:aws:ssm:${region}:${account}:parameter`,
  };
  const operation = (call: Call): string => {
    const found = /^AmazonSSM\.(\w+)$/.exec(String(call.headers['x-amz-target']))?.[1] ?? '';
    return Object.hasOwn(operations, found) ? found : 'Unknown';
  };
  return {
    name: 'ssm',
    dialect: 'json',
    operation,
    answer: (call) =>
      Promise.resolve().then(() => {
        const known = operations[operation(call)];
        if (known === undefined) throw new AwsError(400, 'UnknownOperationException', 'No such operation.');
        const body = JSON.stringify(known(store, json(call.text)));
        return { status: 200, headers: { 'content-type': 'application/x-amz-json-1.1' }, body };
      }),
  };
}

function putParameter(store: Store, input: unknown): object {
  const asked = parse(
    z.object({
      Name: name.regex(/^[\w./-]+$/),
      Value: z.string().min(1).max(valueCharactersMax),
      Type: z.enum(kinds).optional(),
      Overwrite: z.boolean().default(false),
    }),
    input,
  );
  const known = store.parameters.get(asked.Name);
  if (known !== undefined && !asked.Overwrite)
    throw new AwsError(400, 'ParameterAlreadyExists', 'The parameter already exists.');
  const type = asked.Type ?? newest(known)?.type;
  if (type === undefined) throw invalid('A parameter type is required when you create a parameter.');
  if (known === undefined && store.parameters.size >= parametersMax)
    throw new AwsError(400, 'ParameterLimitExceeded', `There are ${parametersMax} parameters already.`);

  const version: Version = { value: asked.Value, type, at: store.clock.wallNow() };
  const all = [...(known?.versions ?? []), version];
  const excess = Math.max(0, all.length - versionsMax);
  const parameter = { versions: all.slice(excess), dropped: (known?.dropped ?? 0) + excess };
  store.parameters.set(asked.Name, parameter);
  return { Version: parameter.dropped + parameter.versions.length, Tier: 'Standard' };
}

function getParameter(store: Store, input: unknown): object {
  const asked = parse(z.object({ Name: name, WithDecryption: decrypt }), input);
  const found = find(store, asked.Name, asked.WithDecryption);
  if (found === null) throw new AwsError(400, 'ParameterNotFound', `Parameter ${asked.Name} not found.`);
  return { Parameter: found };
}

function getParameters(store: Store, input: unknown): object {
  const asked = parse(z.object({ Names: z.array(name).min(1).max(10), WithDecryption: decrypt }), input);
  const found = asked.Names.map((wanted) => find(store, wanted, asked.WithDecryption));
  return {
    Parameters: found.filter((parameter) => parameter !== null),
    InvalidParameters: asked.Names.filter((_, at) => found[at] === null),
  };
}

/** The token of the next page is the last name of this one: names only grow in the order they are listed in. */
function getParametersByPath(store: Store, input: unknown): object {
  const asked = parse(
    z.object({
      Path: z.string().startsWith('/'),
      Recursive: z.boolean().default(false),
      MaxResults: pageSize,
      NextToken: z.string().default(''),
      WithDecryption: decrypt,
    }),
    input,
  );
  const folder = asked.Path.endsWith('/') ? asked.Path : `${asked.Path}/`;
  const names = [...store.parameters.keys()]
    .filter((key) => key.startsWith(folder) && (asked.Recursive || !key.slice(folder.length).includes('/')))
    .sort()
    .filter((key) => key > asked.NextToken);
  const page = names.slice(0, asked.MaxResults);
  return {
    Parameters: page.map((key) => find(store, key, asked.WithDecryption)),
    ...(names.length > page.length ? { NextToken: page.at(-1) } : {}),
  };
}

/** `selector` is a name or ARN, with an optional `:version`. Null: no such parameter. */
function find(store: Store, selector: string, decrypted: boolean): object | null {
  const isArn = selector.startsWith(`${store.arnPrefix}/`);
  const plain = isArn ? selector.slice(store.arnPrefix.length) : selector;
  const [, key, number] = /^(.*?)(?::(\d+))?$/.exec(plain) as unknown as [string, string, string | undefined];
  // An ARN has one slash before any name, so it does not tell `/a` from `a`.
  const Name = isArn && !store.parameters.has(key) ? key.slice(1) : key;
  const parameter = store.parameters.get(Name);
  if (parameter === undefined) return null;
  const latest = parameter.dropped + parameter.versions.length;
  const Version = number === undefined ? latest : Number(number);
  const version = parameter.versions[Version - parameter.dropped - 1];
  if (version === undefined)
    throw new AwsError(400, 'ParameterVersionNotFound', `${key} has no version ${Version}.`);
  const { value, type } = version;
  return {
    Name,
    Type: type,
    Value: type === 'SecureString' && !decrypted ? opaque(Name, Version) : value,
    Version,
    ...(number === undefined ? {} : { Selector: `:${number}` }),
    LastModifiedDate: version.at / 1000,
    ARN: `${store.arnPrefix}${Name.startsWith('/') ? '' : '/'}${Name}`,
    DataType: 'text',
  };
}

const opaque = (of: string, version: number): string =>
  `AQICAH${createHash('sha512').update(`${of}:${version}`).digest('base64')}`;

const newest = (parameter: Parameter | undefined): Version | undefined => parameter?.versions.at(-1);

const invalid = (message: string): AwsError => new AwsError(400, 'ValidationException', message);

function parse<T>(shape: z.ZodType<T>, input: unknown): T {
  const parsed = shape.safeParse(input);
  if (parsed.success) return parsed.data;
  throw invalid(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AwsError(400, 'SerializationException', `The body is not JSON: ${String(error)}`);
  }
}
