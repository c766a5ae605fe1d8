/** Builds the executable and runs it where there is nothing else: no PATH, no Node.js, no node_modules. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { buildExecutable, type Built } from '../../src/build/executable.ts';
import { collectNotices } from '../../src/build/notices.ts';
import { clusterMark } from '../../src/cli/dev/environment.ts';
import { killMarked } from '../../src/cli/dev/kill.ts';
import { freePort } from '../../src/cli/dev/ports.ts';

const run = promisify(execFile);
const skip = process.platform !== 'linux' && 'the executable is built on Linux only';

let dir: string;
let built: Built;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'synkti-build-'));
  if (skip === false) built = await buildExecutable(join(dir, 'synkti'), () => undefined);
});
after(() => rm(dir, { recursive: true, force: true }));

/** Neither a PATH nor anything else that could lead to a Node.js. */
const alone = async (...args: readonly string[]): Promise<string> =>
  (await run(built.file, [...args], { env: { HOME: dir }, cwd: '/', maxBuffer: 2 ** 24 })).stdout;

test('the executable is one file under 150 MB that knows its version and commit', { skip }, async () => {
  ok(built.bytes < 150e6, `${built.bytes} bytes`);
  const told = JSON.parse(await alone('version', '--json')) as { version: string; commit: string };
  const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
  equal(told.version, version);
  match(told.commit, /^([0-9a-f]{12,}(-dirty)?|no commit)$/);
});

test('functions have their own names inside, and none is given one as it is made', { skip }, async () => {
  const bytes = await readFile(built.file);
  ok(bytes.includes('function openOutlet('), 'a trace would not name it');
  ok(!bytes.includes('__name=('), "esbuild's helper is inside");
});

test('the licences of everything inside are inside too, that of Node.js included', { skip }, async () => {
  const text = await alone('version', '--notices');
  for (const name of [
    'libp2p',
    'undici',
    '@aws-sdk/client-ec2',
    'pino',
    'commander',
    `node-linux-${process.arch}`,
  ])
    match(text, new RegExp(`^${name.replace('/', '\\/')} \\d+\\.\\d+\\.\\d+ \\(.+\\)$`, 'm'));
  equal(text.match(/^-{80}$/gm)!.length, built.packages - 1);
});

test('it runs in a chroot that holds the C libraries and no Node.js', { skip }, async (t) => {
  const root = join(dir, 'root');
  const { stdout } = await run('ldd', [built.file]);
  for (const library of [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path!)) {
    await mkdir(dirname(join(root, library)), { recursive: true });
    await copyFile(library, join(root, library));
  }
  await copyFile(built.file, join(root, 'synkti'));
  const enter = ['--map-root-user', '--root', root, '/synkti', '--version'];
  try {
    match(
      (await run('unshare', enter, { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } })).stdout,
      /^synkti \d/,
    );
  } catch (error) {
    // Containers may forbid user namespaces; then the empty PATH above has to do.
    if (!/Operation not permitted/.test((error as Error).message)) throw error;
    t.skip('this machine allows no user namespaces');
  }
});

test(
  'it is a whole cluster: cloud, node and engine are this one file',
  { skip, timeout: 180_000 },
  async (t) => {
    const place = join(dir, 'dev');
    const args = ['dev', '--json', '--nodes', '1', '--base-port', `${await freePort()}`, '--dir', place];
    const child = spawn(built.file, args, {
      env: { HOME: dir },
      cwd: '/',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(async () => {
      child.kill('SIGKILL');
      await killMarked(clusterMark(place));
    });
    for await (const line of createInterface({ input: child.stdout }))
      if ('ready' in (JSON.parse(line) as object)) break;
    child.stdout.resume();
    child.kill('SIGINT');
    deepEqual(await once(child, 'exit'), [0, null]);
  },
);

test('a package without a licence that we may bundle stops the build', async () => {
  const folder = join(dir, 'node_modules', 'strange');
  await mkdir(folder, { recursive: true });
  const declare = (license: string): Promise<void> =>
    writeFile(
      join(folder, 'package.json'),
      JSON.stringify({ name: 'strange', version: '1.0.0', license, author: 'A' }),
    );
  await declare('SSPL-1.0');
  await rejects(collectNotices([join(folder, 'a.js')]), {
    kind: 'denied',
    message: /strange 1\.0\.0: licence SSPL-1\.0/,
  });
  await declare('(MIT OR GPL-2.0)');
  const [notice] = await collectNotices([join(folder, 'a.js'), join(folder, 'b.js'), 'src/main.ts']);
  equal(notice?.text, 'No licence file in the package, which declares (MIT OR GPL-2.0); by A.');
});
