/** What the README names is there: a reader who follows a name must not find that it has moved. */
import { deepEqual, ok } from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { facts } from '../../src/node/facts.ts';
import { read } from './sources.ts';

const readme = readFileSync('README.md', 'utf8');
const headings = [...readme.matchAll(/^#+ (.+)$/gm)].map(([, title]) => title!);

const section = (title: string): string => {
  const [, from = ''] = readme.split(`\n## ${title}\n`);
  return from.split('\n## ')[0]!;
};

/** As GitHub names the anchor of a heading. */
const anchorOf = (title: string): string =>
  title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

const named = (text: string, pattern: RegExp): readonly string[] => [
  ...new Set([...text.matchAll(pattern)].map(([, name]) => name!)),
];

test('every link within the README leads to a heading of it', () => {
  const anchors = headings.map(anchorOf);
  const links = named(readme, /\]\(#([^)]+)\)/g);
  ok(links.length > 0);
  deepEqual(
    links.filter((link) => !anchors.includes(link)),
    [],
  );
});

test('every file and folder that the README names is there, and so is every script', () => {
  const paths = named(readme, /`((?:src|test)\/[\w./-]+)`/g);
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: object };
  const runs = named(readme, /npm run (?:-s )?([\w:]+)/g);
  ok(paths.length > 0 && runs.length > 0);
  deepEqual([paths.filter((path) => !existsSync(path)), runs.filter((run) => !(run in scripts))], [[], []]);
});

test('what the README says about trouble is said by the node: its facts, and its error codes', () => {
  const trouble = section('When something is wrong');
  const told = named(trouble, /`([a-z]+\.[a-zA-Z]+)(?=[ `])/g).filter((name) => !/\.(log|sock)$/.test(name));
  const codes = named(trouble, /`([a-z]+(?:_[a-z]+)+)`/g);
  ok(told.length > 0 && codes.length > 0);
  const words = new Set(read('src').flatMap(({ text }) => named(text, /'(\w+)'/g)));
  // The node's phase goes into one of them.
  const isSaid = (code: string): boolean => words.has(code) || words.has(code.replace(/^node_/, ''));
  deepEqual([told.filter((name) => !(name in facts)), codes.filter((code) => !isSaid(code))], [[], []]);
});
