/**
 * Makes the one executable file: all of our code and all packages in one script, inside a copy of the pinned Node.js
 * (a "single executable application", nodejs.org/api/single-executable-applications.html).
 *
 *   sources ─esbuild─► two scripts ─node─► blob with V8 code cache ─postject─► stripped copy of node = dist/synkti
 *
 * The second script is the membership thread's, an asset, so that libp2p is in that thread alone.
 *
 * The code cache halves the start and belongs to the very Node.js and processor that made it: every platform builds
 * its own. Node.js is stripped before, because stripping the finished file would cut the blob off.
 */
import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { build as bundle } from 'esbuild';
import { inject } from 'postject';
import { Failure } from '../std/failure.ts';
import { collectNotices, noticesText } from './notices.ts';
import { slim } from './slim.ts';

const run = promisify(execFile);
/** Far above what the slowest step takes (injecting: two seconds). */
const stepMs = 120_000;
/** From the Node.js documentation: where node looks for a blob in itself. */
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

export type Built = { readonly file: string; readonly bytes: number; readonly packages: number };

/** Builds from the checkout in the working directory. `say` hears of what is left out. */
export async function buildExecutable(file: string, say: (line: string) => void): Promise<Built> {
  if (process.platform !== 'linux')
    throw new Failure('invalid', `build: Linux only; on ${process.platform} run it from source: npm start`);
  await mkdir(dirname(file), { recursive: true });
  const work = await mkdtemp(join(dirname(file), '.build-'));
  try {
    const node = await strippedNode(join(work, 'node'), say);
    const bundled = await bundleTo(work, ['main', 'member-thread']);
    const notices = await collectNotices([...bundled, pinnedNode()]);
    await writeFile(join(work, 'notices.txt'), noticesText(notices));
    const blob = await makeBlob(node, work);
    await quietly(() => inject(node, 'NODE_SEA_BLOB', blob, { sentinelFuse: fuse }));
    await run(node, ['--version'], { timeout: stepMs });
    // A running synkti keeps its file; the new one takes the name whole or not at all.
    await rename(node, file);
    return { file, bytes: (await stat(file)).size, packages: notices.length };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Returns the files that went in. Any warning stops the build: it is how a bundle that fails at run time begins. */
async function bundleTo(outdir: string, names: readonly string[]): Promise<readonly string[]> {
  const { metafile, warnings } = await bundle({
    entryPoints: names.map((name) => `src/${name}.ts`),
    outdir,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    mainFields: ['module', 'main'],
    minifyWhitespace: true,
    minifySyntax: true,
    // Functions keep their names, for the sake of traces, by not being given shorter ones. `keepNames` would give each its
    // name back whenever it is made, and every request makes its own: a fifth of its CPU.
    minifyIdentifiers: false,
    // A crash shows the line that it happened in: not one of four megabytes.
    lineLimit: 160,
    legalComments: 'none',
    metafile: true,
    plugins: [slim],
    logLevel: 'warning',
    define: { synktiRelease: JSON.stringify(await releaseOf()), 'import.meta.url': '""' },
  });
  if (warnings.length > 0) throw new Failure('invalid', `bundle: ${warnings.length} warnings, see above`);
  return Object.keys(metafile.inputs);
}

async function releaseOf(): Promise<{ readonly version: string; readonly commit: string }> {
  const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { readonly version: string };
  try {
    const { stdout } = await run('git', ['describe', '--always', '--dirty', '--exclude=*', '--abbrev=12']);
    return { version, commit: stdout.trim() };
  } catch {
    // A source archive has no history, and building it is fine.
    return { version, commit: 'no commit' };
  }
}

const pinnedNode = (): string => `node_modules/node-linux-${process.arch}/bin/node`;

async function strippedNode(to: string, say: (line: string) => void): Promise<string> {
  await copyFile(pinnedNode(), to).catch((error: unknown) => {
    throw new Failure('missing', `build: no ${pinnedNode()}: npm ci brings it for x64 and arm64`, error);
  });
  await chmod(to, 0o755);
  await run('strip', [to], { timeout: stepMs }).catch(() => {
    say('no `strip` here (package binutils): the executable is 18 MB larger than it has to be');
  });
  return to;
}

async function makeBlob(node: string, work: string): Promise<Buffer> {
  const [config, output] = [join(work, 'sea.json'), join(work, 'sea.blob')];
  const sea = {
    main: join(work, 'main.cjs'),
    output,
    disableExperimentalSEAWarning: true,
    useCodeCache: true,
    // A node beside a GPU's host memory stays small: the young heap of 16 MiB a space costs 24 MB of RSS when idle, of 8
    // none against 4, which is swept twice as often. So small a heap is swept sooner by one thread than four are woken.
    execArgv: ['--max-semi-space-size=8', '--no-parallel-scavenge'],
    assets: {
      'notices.txt': join(work, 'notices.txt'),
      'member-thread.cjs': join(work, 'member-thread.cjs'),
    },
  };
  await writeFile(config, JSON.stringify(sea));
  await run(node, ['--experimental-sea-config', config], { timeout: stepMs });
  return readFile(output);
}

/** postject warns on stdout about sections of node that it does not know; they are not ours and harmless. */
async function quietly(work: () => Promise<void>): Promise<void> {
  const { log, warn } = console;
  try {
    console.log = console.warn = () => undefined;
    await work();
  } finally {
    Object.assign(console, { log, warn });
  }
}
