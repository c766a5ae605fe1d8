import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { identityFromSeed, loadIdentity } from '../../src/mtls/identity.ts';
import { Failure } from '../../src/std/failure.ts';

const refused = (kind: Failure['kind'], text: RegExp) => (error: unknown) => {
  equal((error as Failure).kind, kind);
  match((error as Failure).message, text);
  return true;
};

async function within(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'synkti-identity-'));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('the first start makes an identity that only its owner can read, the next one finds it again', () =>
  within(async (folder) => {
    const dataDir = join(folder, 'fresh');
    const first = await loadIdentity(dataDir);
    const again = await loadIdentity(dataDir);
    match(first.peerId, /^12D3KooW/);
    equal(again.peerId, first.peerId);
    equal((await stat(join(dataDir, 'identity.key'))).mode & 0o777, 0o600);
    deepEqual(await readdir(dataDir), ['identity.key']);
  }));

test('an identity from its seed is the one that libp2p would make of it, and signs', () =>
  within(async (folder) => {
    const { peerId, privateKey } = await loadIdentity(folder);
    const seed = privateKey.raw.subarray(0, 32);
    const theirs = await generateKeyPairFromSeed('Ed25519', seed);
    const ours = identityFromSeed(seed);
    equal(ours.peerId, peerId);
    equal(peerIdFromPrivateKey(theirs).toString(), peerId);
    const said = Buffer.from('a vote');
    ok(await theirs.publicKey.verify(said, await ours.privateKey.sign(said)));
  }));

test('two starts at once end with the same identity', () =>
  within(async (folder) => {
    const loaded = await Promise.all(Array.from({ length: 4 }, () => loadIdentity(folder)));
    equal(new Set(loaded.map(({ peerId }) => peerId)).size, 1);
    deepEqual(await readdir(folder), ['identity.key']);
  }));

test('two nodes are two identities', () =>
  within(async (folder) => {
    const [a, b] = [await loadIdentity(join(folder, 'a')), await loadIdentity(join(folder, 'b'))];
    notEqual(a.peerId, b.peerId);
  }));

test('a key that others can read is refused, and left as it is', () =>
  within(async (folder) => {
    await loadIdentity(folder);
    const path = join(folder, 'identity.key');
    const before = await readFile(path, 'utf8');
    await chmod(path, 0o640);
    await rejects(loadIdentity(folder), refused('denied', /identity\.key: others may read it/));
    equal(await readFile(path, 'utf8'), before);
  }));

test('garbage, another kind of key and an empty file are refused and never replaced', () =>
  within(async (folder) => {
    const rsa = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const contents = [
      '',
      'not a key',
      'x'.repeat(100_000),
      rsa.export({ type: 'pkcs8', format: 'pem' }).toString(),
    ];
    for (const content of contents) {
      const path = join(folder, 'identity.key');
      await rm(path, { force: true });
      await writeFile(path, content, { mode: 0o600 });
      await rejects(loadIdentity(folder), refused('invalid', /not an ed25519 private key/));
      equal(await readFile(path, 'utf8'), content);
    }
  }));

test('a data directory that is no directory, or a key that is one, is one clear failure', () =>
  within(async (folder) => {
    await writeFile(join(folder, 'file'), '');
    await rejects(
      loadIdentity(join(folder, 'file', 'data')),
      refused('invalid', /identity .*: invalid: ENOTDIR/),
    );
    await mkdir(join(folder, 'identity.key'), { mode: 0o700 });
    await rejects(loadIdentity(folder), refused('invalid', /identity\.key: invalid: EISDIR/));
  }));

const procfs = { skip: process.platform !== 'linux' };

test('where the kernel makes no directory there is one clear failure, at once', procfs, () =>
  rejects(
    loadIdentity('/proc/synkti'),
    refused('denied', /^data directory \/proc\/synkti: cannot be made there: choose another$/),
  ),
);

/** In a mount namespace of its own, where a directory is a file system without a free page. */
const onFullDisk = (folder: string, command: readonly string[]) =>
  spawnSync(
    'unshare',
    [
      ...['--user', '--map-root-user', '--mount', 'sh', '-c'],
      'mount -t tmpfs -o size=4096,mode=700 none "$0" || exit 77; head -c 8192 /dev/zero > "$0/full" 2>&-; exec "$@"',
      ...[folder, ...command],
    ],
    { encoding: 'utf8', env: { PATH: process.env['PATH'] } },
  );

test('a first start on a full disk is one line that says what is full and what to do, and exit code 1', (t) =>
  within(async (folder) => {
    if (onFullDisk(folder, ['true']).status !== 0) return t.skip('no mount namespace here');
    const main = join(import.meta.dirname, '../../src/main.ts');
    // With a list of its own neither EC2 nor a metadata service is asked.
    const listed = [
      '--node-id',
      'alone',
      '--peers',
      `alone=${(await loadIdentity(join(folder, 'a'))).peerId}`,
    ];
    const start = [process.execPath, main, 'run', '--role', 'edge', '--host', '127.0.0.1', ...listed];
    for (const command of [[process.execPath, main, 'identity'], start]) {
      const { status, stderr } = onFullDisk(folder, [...command, '--data-dir', folder]);
      const wanted = `data directory ${folder}: no room left on the device: free some, or choose another`;
      deepEqual([status, stderr], [1, `synkti: ${wanted}\n`], command[2]);
    }
  }));
