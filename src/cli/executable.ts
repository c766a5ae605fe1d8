/**
 * What this program is and how to start it again. Built, it is one executable file; in a checkout it is Node.js
 * running `main.ts`. Either way `respawn` gives the same program, so that a node can start its simulated engine and
 * the development cluster its nodes.
 */
import { readFileSync } from 'node:fs';
import { getAsset, isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';
import type { ThreadCode } from '../thread/member-thread.ts';

/** Written into the bundle by the build; the bundler then drops what reads the checkout. */
declare const synktiRelease: Release;

type Release = {
  readonly version: string;
  /** The git commit that it was built from; null from a checkout, where it could be anything. */
  readonly commit: string | null;
};

export const release = (): Release => (typeof synktiRelease === 'undefined' ? fromCheckout() : synktiRelease);

function fromCheckout(): Release {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return { version: (manifest as { readonly version: string }).version, commit: null };
}

/** Of a worker's own script Node.js first finds out whether it is a module, for which it compiles all of it once more. */
const carried = (script: string): string =>
  `require('node:vm').runInThisContext(require('node:sea').getAsset('${script}', 'utf8'), '${script}')`;

/** The script of the membership thread: a file of the checkout, or carried along in the executable. */
export const memberThread = (): ThreadCode =>
  isSea()
    ? { type: 'script', text: carried('member-thread.cjs') }
    : { type: 'file', url: new URL('../member-thread.ts', import.meta.url) };

export type Respawn = { readonly command: string; readonly args: readonly string[] };

export function respawn(args: readonly string[]): Respawn {
  if (isSea()) return { command: process.execPath, args };
  return {
    command: process.execPath,
    args: [fileURLToPath(new URL('../main.ts', import.meta.url)), ...args],
  };
}

/** How a person calls this program again, for hints. */
export const invocation = (): string => (isSea() ? process.argv0 : 'npm run -s synkti --');

/** The licences of everything that is bundled in; null in a checkout, where they lie beside the packages. */
export const notices = (): string | null => (isSea() ? getAsset('notices.txt', 'utf8') : null);
