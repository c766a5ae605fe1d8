/**
 * Facts as log lines: one JSON object a line for machines, one short line for a person at a terminal. Written
 * synchronously, so that the last words of a dying process are not lost in a buffer.
 */
import { pino } from 'pino';
import { facts, type Fact, type Report } from '../node/facts.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';
/** Where lines go; each is written with its newline in one call. */
export type LogOutput = { write(line: string): unknown; readonly isTTY?: boolean | undefined };

const rank: Readonly<Record<LogLevel, number>> = { error: 3, warn: 2, info: 1, debug: 0 };

export function openLog(options: {
  readonly level: LogLevel;
  readonly format: 'auto' | 'json' | 'text';
  readonly out: LogOutput;
}): Report {
  const { level, out } = options;
  const isText = options.format === 'text' || (options.format === 'auto' && out.isTTY === true);
  const write = isText ? (fact: Fact) => out.write(`${textLine(fact, new Date())}\n`) : jsonWriter(out);
  return (fact) => {
    // Most facts are of single requests, and are not written.
    if (rank[facts[fact.fact].level] >= rank[level]) write(rounded(fact));
  };
}

/** Machines reckon in fractions of a millisecond, which say nothing to a reader of the log. */
function rounded(fact: Fact): Fact {
  const fields: Record<string, Fact[string]> = {};
  for (const name in fact) {
    const value = fact[name]!;
    fields[name] = typeof value === 'number' && /(^m|M)s$/.test(name) ? Math.round(value) : value;
  }
  return fields as Fact;
}

function jsonWriter(out: LogOutput): Report {
  const logger = pino(
    // The level was judged before; `base: null` leaves out pid and host name, which systemd adds anyway.
    { level: 'debug', base: null, formatters: { level: (label) => ({ level: label }) } },
    { write: (line) => void out.write(line) },
  );
  return (fact) => logger[facts[fact.fact].level](fact);
}

/** `10:15:02.123 warn  engine.failed code=1 afterMs=312`; a field with spaces in it is quoted. */
function textLine(fact: Fact, at: Date): string {
  const { fact: name, ...fields } = fact;
  const time = `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
  const shown = Object.entries(fields).map(([field, value]) => ` ${field}=${valueText(value)}`);
  return `${time} ${facts[name].level.padEnd(5)} ${name}${shown.join('')}`;
}

const valueText = (value: string | number | boolean | null): string =>
  typeof value === 'string' && !/^[\w.:/@*+-]+$/.test(value) ? quoted(value) : String(value);

/** Some values come from others: JSON alone lets through what a terminal obeys, of C1 and of the marks of direction. */
const quoted = (text: string): string =>
  JSON.stringify(text).replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (sign) => `\\u${sign.codePointAt(0)!.toString(16).padStart(4, '0')}`,
  );
