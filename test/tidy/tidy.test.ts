/** House rules that a compiler cannot hold: floors, clocks and dice, sizes, names, dead code. */
import { deepEqual } from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import ts from 'typescript';
import { exportsOf, unread } from './exports.ts';
import { folderOf, read, relativeImports, specifiers, visit, type Source } from './sources.ts';

/** A folder imports from floors strictly below its own: `std` and each domain are blind to their neighbours. */
const floors: Readonly<Record<string, number>> = {
  std: 0,
  membership: 1,
  discovery: 1,
  registry: 1,
  engine: 1,
  routing: 1,
  stream: 1,
  journal: 1,
  drain: 1,
  spot: 1,
  admission: 1,
  lease: 1,
  node: 2,
  gateway: 3,
  control: 3,
  libp2p: 3,
  aws: 3,
  roster: 3,
  mtls: 3,
  engines: 3,
  os: 3,
  localcloud: 3,
  telemetry: 3,
  thread: 3,
  client: 3,
  wire: 3,
  config: 4,
  cli: 5,
  self: 5,
  'api-keys': 5,
  'own-engine': 5,
  build: 5,
  daemon: 6,
  'member-thread': 6,
  main: 7,
};

/** A package is imported in the folders named here; whoever replaces it edits those and no other. */
const owners: Readonly<Record<string, readonly string[]>> = {
  libp2p: ['libp2p'],
  '@libp2p': ['libp2p', 'mtls'],
  '@chainsafe': ['libp2p'],
  '@multiformats': ['libp2p'],
  '@aws-sdk': ['aws'],
  asn1js: ['mtls'],
  'p-retry': ['aws'],
  undici: ['gateway', 'engines', 'mtls', 'wire', 'aws', 'cli'],
  'eventsource-parser': ['gateway'],
  'fast-xml-parser': ['localcloud'],
  pino: ['telemetry'],
  'prom-client': ['telemetry'],
  commander: ['cli'],
  'cli-table3': ['cli'],
  'log-update': ['cli'],
  yaml: ['config'],
  esbuild: ['build'],
  postject: ['build'],
  // A parser of what comes from outside, pure, and wanted wherever an edge is.
  zod: [
    'registry',
    'gateway',
    'control',
    'localcloud',
    'config',
    'engines',
    'node',
    'aws',
    'libp2p',
    'spot',
    'cli',
  ],
};

/** Clock, dice and the process are handed in, so that a seed replays a cluster. */
const impure =
  /^(AbortSignal\.timeout|Date\.now|Date|performance\.now|Math\.random|crypto\.\w+|randomUUID|randomBytes|setTimeout|setInterval|setImmediate|queueMicrotask|fetch|process\.\w+)$/;
const dumpingGround = /(^|[-/])(utils?|helpers?|common|misc|shared|types|constants)(\.ts|\/)/;
const roleName = /(Manager|Handler|Service|Helper|Util|Impl|Wrapper|Processor)$/;
const limits = { fileLines: 400, functionLines: 70 };

const src = read('src');
const everything = [...src, ...read('test')];
const floorOf = (path: string): number => floors[folderOf(path)] ?? Number.NaN;

test('every folder of src has a floor, and every package an owner', () => {
  const folders = new Set(src.map((source) => folderOf(source.path)));
  deepEqual(
    [...folders].filter((folder) => floors[folder] === undefined),
    [],
  );
});

test('the README shows each folder on its floor', () => {
  const readme = readFileSync('README.md', 'utf8');
  const shown: [string, number][] = [];
  let floor = Number.NaN;
  for (const [, number, folders] of readme.matchAll(/^\| +(\d?) +\| ((?:`[\w./-]+` )+) *\|/gm)) {
    if (number !== '') floor = Number(number);
    for (const [, name] of folders!.matchAll(/`([\w-]+)(?:\.ts)?`/g)) shown.push([name!, floor]);
  }
  deepEqual(Object.fromEntries(shown), floors);
});

test('imports go down, never sideways or up', () => {
  const wrong = src.flatMap((source) =>
    relativeImports(source)
      .filter((target) => folderOf(target) !== folderOf(source.path))
      .filter((target) => !(floorOf(target) < floorOf(source.path)))
      .map((target) => `${source.path} imports ${target}`),
  );
  deepEqual(wrong, []);
});

test('the client, which others carry into browsers, imports nothing but itself', () => {
  const client = src.filter((source) => folderOf(source.path) === 'client');
  const wrong = client.flatMap((source) =>
    specifiers(source)
      .filter((target) => !/^\.\/[\w-]+\.ts$/.test(target))
      .map((target) => `${source.path} imports ${target}`),
  );
  deepEqual(wrong, []);
});

test('a package is imported only where it is at home', () => {
  const wrong = src.flatMap((source) =>
    specifiers(source)
      .filter((target) => !target.startsWith('.') && !target.startsWith('node:'))
      .filter((target) => !owners[target.split('/')[0]!]?.includes(folderOf(source.path)))
      .map((target) => `${source.path} imports ${target}`),
  );
  deepEqual(wrong, []);
});

test('below floor 3 nothing reads a clock, a die or the process', () => {
  const complain = (source: Source) => (node: ts.Node) => {
    const callee = ts.isCallExpression(node) || ts.isNewExpression(node) ? node.expression : node;
    const named = callee !== node || ts.isPropertyAccessExpression(node);
    const text = named ? callee.getText(source.ast) : '';
    return impure.test(text) ? text : undefined;
  };
  const pure = src.filter((source) => floorOf(source.path) < 3);
  deepEqual(
    pure.flatMap((source) => visit(source, complain(source))),
    [],
  );
  const builtins = (source: Source) => specifiers(source).filter((target) => target.startsWith('node:'));
  deepEqual(
    pure.flatMap((source) => builtins(source).map((target) => `${source.path} imports ${target}`)),
    [],
  );
});

test('the environment is read in main.ts only', () => {
  const complain = (source: Source) => (node: ts.Node) =>
    ts.isPropertyAccessExpression(node) && node.getText(source.ast) === 'process.env'
      ? 'process.env'
      : undefined;
  const rest = src.filter((source) => source.path !== 'src/main.ts');
  deepEqual(
    rest.flatMap((source) => visit(source, complain(source))),
    [],
  );
});

test('files fit a sitting, functions a screen', () => {
  const long = everything.filter((source) => source.text.split('\n').length > limits.fileLines + 1);
  deepEqual(
    long.map((source) => source.path),
    [],
  );
  const complain = (source: Source) => (node: ts.Node) => {
    if (!ts.isFunctionLike(node)) return undefined;
    const lines = node.getText(source.ast).split('\n').length;
    return lines > limits.functionLines ? `function of ${lines} lines` : undefined;
  };
  deepEqual(
    src.flatMap((source) => visit(source, complain(source))),
    [],
  );
});

test('names say what a thing is', () => {
  deepEqual(
    everything.map((source) => source.path).filter((path) => dumpingGround.test(path)),
    [],
  );
  const complain = (node: ts.Node) =>
    (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) &&
    roleName.test(node.name?.text ?? '')
      ? `${node.name?.text} names a role, not a thing`
      : undefined;
  deepEqual(
    src.flatMap((source) => visit(source, complain)),
    [],
  );
});

test('no barrel, no default export, no enum, no swallowed error, no loose end', () => {
  const complain = (node: ts.Node) => {
    if (ts.isExportDeclaration(node) && node.moduleSpecifier) return 're-export';
    if (ts.isExportAssignment(node) || node.kind === ts.SyntaxKind.DefaultKeyword) return 'default export';
    if (ts.isEnumDeclaration(node)) return 'enum';
    if (ts.isCatchClause(node) && node.block.statements.length === 0) return 'empty catch';
    return undefined;
  };
  deepEqual(
    everything.flatMap((source) => visit(source, complain)),
    [],
  );
  const looseEnd = new RegExp(
    `\\b(${['TO', 'FIX', 'X'].map((part, i) => part + ['DO', 'ME', 'XX'][i]).join('|')})\\b`,
  );
  deepEqual(
    everything.filter((source) => looseEnd.test(source.text)).map((source) => source.path),
    [],
  );
});

test('every export has a reader in another file', () => {
  deepEqual(unread(src.flatMap(exportsOf), everything), []);
});

test('a rule of a SPEC.md is held by a test that names it', () => {
  const tests = read('test').map((source) => source.text);
  const specs = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((p) =>
    p.endsWith('SPEC.md'),
  );
  const unheld = specs.flatMap((spec) => {
    const rules =
      readFileSync(`src/${spec}`, 'utf8').match(/^(?:[-*] |#+ |\| )?\**\[?[A-Z]+\d+(?=[\].: |*])/gm) ?? [];
    const ids = rules.map((rule) => rule.replace(/[^A-Z\d]/g, ''));
    return ids
      .filter((id) => !tests.some((text) => text.includes(`[${id}]`)))
      .map((id) => `src/${spec} ${id}`);
  });
  deepEqual(unheld, []);
});

test('versions are pinned, and the top level is as agreed', () => {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, Record<string, string>>;
  const ranges = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((group) =>
    Object.entries(manifest[group] ?? {}).filter(([, version]) => /^[\^~]|\s|\*/.test(version)),
  );
  deepEqual(ranges, []);
  const allowed =
    /^(package(-lock)?\.json|tsconfig\.json|src|infra|bootstrap|user-data|test|README\.md|LICENSE|eslint\.config\.js|node_modules|dist|\..+)$/;
  deepEqual(
    readdirSync('.').filter((name) => !allowed.test(name)),
    [],
  );
  deepEqual(existsSync('package-lock.json'), true);
});
