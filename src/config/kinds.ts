/**
 * The kinds of value a setting can have: how a text becomes one, how it is shown, what to say when it is not one.
 * A quantity carries its unit in the text (`30s`, `16mb`), so that no reader has to guess it.
 */
import { isIP } from 'node:net';
import { resolve } from 'node:path';

/** A list is what a configuration file may give; flags and variables are always text. */
export type Written = string | readonly string[];
export type Shown = string | number | boolean;

export type Kind<T> = {
  /** Completes "… is not" and "expected …". */
  readonly expects: string;
  /** Stands for the value in `--help`. */
  readonly placeholder: string;
  /** undefined: this text is not one. */
  parse(written: Written): T | undefined;
  /** As it appears in logs and help, with credentials masked; parses to the same value where nothing is masked. */
  show(value: T): Shown;
};

/** Longest text of a setting, characters: a path is at most 4,096 bytes on Linux. */
const charactersMax = 4_096;

function scalar<T>(kind: Omit<Kind<T>, 'parse'> & { parse(text: string): T | undefined }): Kind<T> {
  return {
    ...kind,
    parse: (written) =>
      typeof written === 'string' && written !== '' && written.length <= charactersMax
        ? kind.parse(written)
        : undefined,
  };
}

export const text: Kind<string> = scalar({
  expects: 'a text without control characters',
  placeholder: 'text',
  parse: (given) => (/^[^\p{Cc}]+$/u.test(given) ? given : undefined),
  show: maskUrl,
});

/** Fits an EC2 tag value, a metric label and a topic name alike. */
export const name: Kind<string> = scalar({
  expects: 'a name of letters, digits, ".", "_" and "-", up to 64 characters',
  placeholder: 'name',
  parse: (given) => (/^[A-Za-z0-9][\w.-]{0,63}$/.test(given) ? given : undefined),
  show: (value) => value,
});

export const choice = <const T extends string>(...options: readonly T[]): Kind<T> =>
  scalar({
    expects: options.length === 2 ? options.join(' or ') : `one of ${options.join(', ')}`,
    placeholder: options.join('|'),
    parse: (given) => options.find((option) => option === given),
    show: (value) => value,
  });

export const truth: Kind<boolean> = scalar({
  expects: 'true or false',
  placeholder: '',
  parse: (given) => (given === 'true' ? true : given === 'false' ? false : undefined),
  show: (value) => value,
});

export const port: Kind<number> = scalar({
  expects: 'a port from 1 to 65535',
  placeholder: 'port',
  parse: (given) => {
    const value = /^\d{1,5}$/.test(given) ? Number(given) : 0;
    return value >= 1 && value <= 65_535 ? value : undefined;
  },
  show: (value) => value,
});

export const count = (min: number, max: number): Kind<number> =>
  scalar({
    expects: `a number from ${min} to ${max}`,
    placeholder: 'number',
    parse: (given) => {
      const value = /^\d{1,9}$/.test(given) ? Number(given) : NaN;
      return value >= min && value <= max ? value : undefined;
    },
    show: (value) => value,
  });

export const host: Kind<string> = scalar({
  expects: 'an IP address or a host name',
  placeholder: 'host',
  parse: (given) =>
    isIP(given) !== 0 || (/^(?!-)[A-Za-z0-9.-]{1,253}$/.test(given) && !/^[\d.]+$/.test(given))
      ? given
      : undefined,
  show: (value) => value,
});

/** A list as it is written in a flag or a variable, or as the file has it. */
export const itemsOf = (written: Written): readonly string[] =>
  typeof written === 'string' ? written.split(/[\s,]+/).filter((item) => item !== '') : written;

/** Names exactly as they stand in URLs: a host below one of them is another host. */
export const hosts: Kind<readonly string[]> = {
  expects: 'a list of host names',
  placeholder: 'list',
  parse: (written) => {
    const items = itemsOf(written);
    const parsed = items.map((item) => host.parse(item.toLowerCase()));
    const isList = items.length >= 1 && items.length <= 100 && parsed.every((item) => item !== undefined);
    return isList ? parsed : undefined;
  },
  show: (value) => value.join(' '),
};

/** Absolute, so that a later change of the working directory changes nothing. */
export const path: Kind<string> = scalar({
  expects: 'a path',
  placeholder: 'path',
  parse: (given) => (given.includes('\0') ? undefined : resolve(given)),
  show: (value) => value,
});

export const url: Kind<string> = scalar({
  expects: 'an http:// or https:// URL',
  placeholder: 'url',
  parse: parseUrl,
  show: maskUrl,
});

/** What the node serves with: an engine of its own, none, or one that somebody else runs behind a URL. */
export type EngineChoice = 'simulated' | 'vllm' | 'none' | { readonly url: string };

const ownEngines = ['simulated', 'vllm', 'none'] as const;
export const engine: Kind<EngineChoice> = scalar({
  expects: 'simulated, vllm, none, or the http:// URL of a running engine',
  placeholder: 'simulated|vllm|none|url',
  parse: (given) => {
    const own = ownEngines.find((option) => option === given);
    if (own !== undefined) return own;
    const running = parseUrl(given);
    return running === undefined ? undefined : { url: running };
  },
  show: (value) => (typeof value === 'string' ? value : maskUrl(value.url)),
});

/** A list of API keys: in a file, or in the parameter of SSM that is named after the cluster. */
export type KeySource = { readonly from: 'file'; readonly path: string } | { readonly from: 'ssm' };

export const keySource: Kind<KeySource | null> = scalar<KeySource | null>({
  expects: 'a path, or ssm',
  placeholder: 'path|ssm',
  parse: (given) => {
    if (given === 'ssm') return { from: 'ssm' };
    return given.includes('\0') ? undefined : { from: 'file', path: resolve(given) };
  },
  show: (value) => (value === null ? '' : value.from === 'ssm' ? 'ssm' : value.path),
});

/** Origins as browsers send them: scheme and host, no path. */
export const origins: Kind<readonly string[]> = {
  expects: 'a list of origins such as https://app.example, or *',
  placeholder: 'list',
  parse: (written) => {
    const items = itemsOf(written).map((item) => item.toLowerCase());
    const isOrigin = (item: string): boolean =>
      item === '*' || (URL.canParse(item) && new URL(item).origin === item);
    return items.length >= 1 && items.length <= 100 && items.every(isOrigin) ? items : undefined;
  },
  show: (value) => value.join(' '),
};

const msPerUnit: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

export const duration = (limits: { readonly minMs: number; readonly maxMs: number }): Kind<number> =>
  quantity({
    perUnit: msPerUnit,
    min: limits.minMs,
    max: limits.maxMs,
    expects: (shown) =>
      `a duration from ${shown(limits.minMs)} to ${shown(limits.maxMs)}, such as 500ms or 30s`,
    placeholder: 'duration',
  });

const bytesPerUnit: Readonly<Record<string, number>> = { b: 1, kb: 1_024, mb: 1_024 ** 2, gb: 1_024 ** 3 };

export const size = (limits: { readonly min: number; readonly max: number }): Kind<number> =>
  quantity({
    perUnit: bytesPerUnit,
    min: limits.min,
    max: limits.max,
    expects: (shown) => `a size from ${shown(limits.min)} to ${shown(limits.max)}, such as 512kb or 16mb`,
    placeholder: 'size',
  });

type Quantity = {
  readonly perUnit: Readonly<Record<string, number>>;
  readonly min: number;
  readonly max: number;
  readonly expects: (shown: (value: number) => string) => string;
  readonly placeholder: string;
};

function quantity({ perUnit, min, max, expects, placeholder }: Quantity): Kind<number> {
  const largestFirst = Object.entries(perUnit).sort(([, a], [, b]) => b - a);
  const show = (value: number): string => {
    const [unit, per] =
      largestFirst.find(([, per]) => value !== 0 && value % per === 0) ?? largestFirst.at(-1)!;
    return `${value / per}${unit}`;
  };
  return scalar({
    expects: expects(show),
    placeholder,
    parse: (given) => {
      const [, digits, unit] = /^(\d{1,9}(?:\.\d{1,3})?)([a-z]{1,2})$/i.exec(given) ?? [];
      const per = perUnit[unit?.toLowerCase() ?? ''];
      const value = per === undefined ? NaN : Math.round(Number(digits) * per);
      return value >= min && value <= max ? value : undefined;
    },
    show,
  });
}

/** Arguments for another program: a list in a file; elsewhere words as a shell splits them, quotes included. */
export const words: Kind<readonly string[]> = {
  expects: 'words, quoted as for a shell',
  placeholder: 'words',
  parse: (written) => {
    const found = typeof written === 'string' ? split(written) : written;
    return found?.some((word) => word.includes('\0')) === true ? undefined : found;
  },
  show: (value) => masked(value).map(quote).join(' '),
};

function split(given: string): readonly string[] | undefined {
  const found: string[] = [];
  let rest = given.trim();
  while (rest !== '') {
    const [word = ''] = /^(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/s.exec(rest) ?? [];
    if (word === '') return undefined;
    found.push(word.replace(/\\(.)|"((?:[^"\\]|\\.)*)"|'([^']*)'/gs, unquote));
    const after = rest.slice(word.length);
    if (after !== '' && !/^\s/.test(after)) return undefined;
    rest = after.trimStart();
  }
  return found;
}

const unquote = (_: string, escaped?: string, double?: string, single?: string): string =>
  escaped ?? single ?? (double ?? '').replace(/\\(["\\$`])/g, '$1');

const quote = (word: string): string =>
  /^[\w@%+=:,./*-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

/** Names of what nobody else may read; `tokens` in the plural are counted, as by `--max-num-batched-tokens`. */
const secret = '(?:keys?|token|secrets?|passwords?|passwd|credentials?)';
const secretFlag = new RegExp(`(?:^|[-_.])${secret}$`, 'i');
const secretField = new RegExp(`("[^"]*${secret}"\\s*:\\s*)"(?:[^"\\\\]|\\\\.)*"`, 'gi');
const secretStart = new RegExp(`(${secret}["']?[=:\\s]+)(?:(?!\\s-)[^])+`, 'gi');

/** `--api-key=VALUE`, `--api-key VALUE VALUE`, a password in a URL, and `{"token": "VALUE"}`. */
function masked(words: readonly string[]): readonly string[] {
  let isValue = false;
  return words.map((word) => {
    if (!word.startsWith('-')) return isValue ? '***' : maskUrl(word).replace(secretField, '$1"***"');
    const [flag = '', ...value] = word.split('=');
    isValue = secretFlag.test(flag);
    return isValue && value.length > 0 ? `${flag}=***` : maskUrl(word).replace(secretField, '$1"***"');
  });
}

/** The same of a text that could not be taken apart: rather too much than too little. */
export const maskText = (given: string): string =>
  given.replace(/(:\/\/)\S*@/g, '$1***@').replace(secretStart, '$1***');

function parseUrl(given: string): string | undefined {
  if (!URL.canParse(given)) return undefined;
  const { protocol, hostname } = new URL(given);
  return /^https?:$/.test(protocol) && hostname !== '' ? given.replace(/\/+$/, '') : undefined;
}

/** Replaces `user:password@`, in which an `@` may stand too, of every URL in a text. */
function maskUrl(given: string): string {
  return given.replace(/(:\/\/)[^/?#\s]*@/g, '$1***@');
}
