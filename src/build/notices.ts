/**
 * The licences of everything that ends up in the executable, gathered from what the bundler really took in. A package
 * whose licence asks more of us than to reproduce it, or that names none, stops the build: that is for a person.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../std/failure.ts';

const welcome = [
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
];

type Notice = {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  readonly text: string;
};

/** One notice for each package that one of these files belongs to, by name. */
export async function collectNotices(bundled: readonly string[]): Promise<readonly Notice[]> {
  const folders = new Set(bundled.flatMap((file) => packageFolder(file) ?? []));
  const found = await Promise.all([...folders].map(noticeOf));
  const unique = new Map(found.map((notice) => [`${notice.name} ${notice.version}`, notice]));
  return [...unique.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function noticesText(notices: readonly Notice[]): string {
  const parts = notices.map(
    ({ name, version, licence, text }) => `${name} ${version} (${licence})\n\n${text}`,
  );
  return parts.join(`\n\n${'-'.repeat(80)}\n\n`);
}

/** `node_modules/@a/b/node_modules/c/d.js` -> `node_modules/@a/b/node_modules/c`; null: a file of our own. */
const packageFolder = (file: string): string | null =>
  /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0] ?? null;

type Manifest = {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string;
  readonly author?: string | { readonly name?: string };
};

async function noticeOf(folder: string): Promise<Notice> {
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest;
  const { name = folder, version = '', license = 'none' } = manifest;
  if (
    !license
      .replace(/[()]/g, '')
      .split(' OR ')
      .some((one) => welcome.includes(one))
  )
    throw new Failure(
      'denied',
      `notices: ${name} ${version}: licence ${license}: not one that we may bundle unseen`,
    );
  return { name, version, licence: license, text: await licenceText(folder, manifest) };
}

async function licenceText(folder: string, { license, author }: Manifest): Promise<string> {
  const names = (await readdir(folder)).filter((name) => /^(licen[cs]e|notice|copying)\b/i.test(name)).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  if (texts.length > 0) return texts.map((text) => text.trim()).join('\n\n');
  const holder = typeof author === 'string' ? author : author?.name;
  return `No licence file in the package, which declares ${license}${holder === undefined ? '' : `; by ${holder}`}.`;
}
