/**
 * Who this node is: an Ed25519 key in the data directory. The libp2p peer id follows from it, gossip is signed with
 * it, and the certificate of the node-to-node HTTPS vouches for itself with it, so a peer is one identity everywhere.
 *
 * Kept as PKCS #8 PEM, so that `openssl pkey -in identity.key` shows it. The file is linked into place complete, so
 * a crash half-way leaves no broken identity, and of two processes that start at once both end with the same one.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { directoryFailure } from '../node/directory-failure.ts';
import { Failure, type FailureKind } from '../std/failure.ts';

export type Identity = {
  /** The libp2p peer id in base58, as it stands in the tag SynktiPeerId. */
  readonly peerId: string;
  readonly privateKey: PrivateKey;
};

/** A PKCS #8 PEM of an Ed25519 key is 119 bytes; far more than that is some other file. */
const keyBytesMax = 4_096;

/**
 * Reads <dataDir>/identity.key, or makes it on the first start, and the directory if there is none. Failure `denied`,
 * `invalid` or `busy`, where there is no room; never a new key then.
 */
export async function loadIdentity(dataDir: string): Promise<Identity> {
  const path = join(dataDir, 'identity.key');
  return identityFromPem((await readKey(path)) ?? (await createKey(dataDir, path)), path);
}

/** null: there is no file yet. */
async function readKey(path: string): Promise<string | null> {
  try {
    await using file = await open(path, constants.O_RDONLY);
    const { mode, size } = await file.stat();
    if ((mode & 0o077) !== 0)
      throw new Failure(
        'denied',
        `identity ${path}: others may read it: chmod 600 it, or delete it for a new identity`,
      );
    if (size > keyBytesMax) throw notAKey(path);
    return await file.readFile('utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw failed(`identity ${path}`, error);
  }
}

/** Whoever links first wins; the other one reads what stands there. */
async function createKey(dataDir: string, path: string): Promise<string> {
  const draft = `${path}.${randomUUID()}.new`;
  try {
    await makeDirectory(dataDir);
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    try {
      await using file = await open(draft, 'wx', 0o600);
      await file.writeFile(pem);
      await file.sync();
      await link(draft, path);
    } finally {
      await rm(draft, { force: true });
    }
    return pem;
  } catch (error) {
    const standing = codeOf(error) === 'EEXIST' ? await readKey(path) : null;
    if (standing !== null) return standing;
    throw directoryFailure(dataDir, error);
  }
}

/** Not those above it, which whoever takes it for a node has made. */
async function makeDirectory(dataDir: string): Promise<void> {
  try {
    await mkdir(dataDir, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

function identityFromPem(pem: string, path: string): Identity {
  const seed = seedOf(pem);
  if (seed === null) throw notAKey(path);
  return identityFromSeed(seed);
}

/** What comes before the 32 secret bytes in PKCS #8 (RFC 8410, 7). */
const pkcs8Head = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * The same identity in another thread, where no key object goes: from the 32 secret bytes. Node.js derives the public
 * ones in no time; libp2p does it in JavaScript, which takes a new thread a tenth of a second.
 */
export function identityFromSeed(seed: Uint8Array): Identity {
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Head, seed]), format: 'der', type: 'pkcs8' });
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' });
  const privateKey = privateKeyFromRaw(Buffer.concat([seed, Buffer.from(x, 'base64url')]));
  return { peerId: peerIdFromPrivateKey(privateKey).toString(), privateKey };
}

/** The 32 secret bytes; null: not an Ed25519 private key. */
function seedOf(pem: string): Uint8Array | null {
  try {
    const key = createPrivateKey(pem);
    const { d } = key.asymmetricKeyType === 'ed25519' ? key.export({ format: 'jwk' }) : {};
    return d === undefined ? null : Buffer.from(d, 'base64url');
  } catch (error) {
    if (error instanceof Error) return null;
    throw error;
  }
}

const notAKey = (path: string): Failure =>
  new Failure(
    'invalid',
    `identity ${path}: not an ed25519 private key: restore it, or delete it for a new identity`,
  );

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error ? String(error.code) : undefined;

function failed(trail: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  const code = codeOf(error);
  const kind: FailureKind = code === 'EACCES' || code === 'EPERM' || code === 'EROFS' ? 'denied' : 'invalid';
  return new Failure(kind, `${trail}: ${kind}: ${code ?? String(error)}`, error);
}
