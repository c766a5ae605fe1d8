import { equal, rejects } from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { issueCertificate, peerIdOfCertificate } from '../../src/mtls/certificate.ts';
import { loadIdentity } from '../../src/mtls/identity.ts';
import type { Failure } from '../../src/std/failure.ts';

const folder = await mkdtemp(join(tmpdir(), 'synkti-certificate-'));
after(() => rm(folder, { recursive: true }));
const alice = await loadIdentity(join(folder, 'alice'));
const bob = await loadIdentity(join(folder, 'bob'));

const rawOf = ({ cert }: { readonly cert: string }): Buffer => new X509Certificate(cert).raw;
const denied = (why: RegExp) => (error: unknown) =>
  (error as Failure).kind === 'denied' && why.test((error as Failure).message);

/** Replaces a run of bytes with another of the same length, as a forger with a hex editor would. */
function replaced(der: Uint8Array, part: Uint8Array, by: Uint8Array): Buffer {
  const at = Buffer.from(der).indexOf(part);
  equal(part.length, by.length);
  const forged = Buffer.from(der);
  forged.set(by, at);
  return forged;
}

test('a certificate speaks for the identity that issued it, and each issue has a key of its own', async () => {
  const [one, other] = [await issueCertificate(alice), await issueCertificate(alice)];
  equal(await peerIdOfCertificate(rawOf(one)), alice.peerId);
  equal(await peerIdOfCertificate(rawOf(other)), alice.peerId);
  equal(rawOf(one).equals(rawOf(other)), false);
});

test('a certificate is in force whatever the clocks of its issuer and of its reader say', async (t) => {
  const clocks = [1_000, Date.UTC(2026, 0), Date.UTC(2049, 11, 31)];
  for (const issuedAt of clocks) {
    t.mock.timers.enable({ apis: ['Date'], now: issuedAt });
    const issued = rawOf(await issueCertificate(alice));
    t.mock.timers.reset();
    for (const readAt of clocks) equal(await peerIdOfCertificate(issued, readAt), alice.peerId);
  }
});

test('a certificate with dates of its own is refused outside of them', async () => {
  const hour = 3_600_000;
  const now = Date.now();
  const issued = rawOf(await issueCertificate(alice, { from: now - hour, to: now + hour }));
  equal(await peerIdOfCertificate(issued, now), alice.peerId);
  for (const at of [now - 2 * hour, now + 2 * hour])
    await rejects(peerIdOfCertificate(issued, at), denied(/not in force/));
});

test("another node's identity in one's own certificate is refused: it did not sign this key", async () => {
  const der = rawOf(await issueCertificate(bob));
  const forged = replaced(der, bob.privateKey.publicKey.raw, alice.privateKey.publicKey.raw);
  await rejects(peerIdOfCertificate(forged), denied(/not signed by its own key|did not sign this key/));
});

test('an identity extension lifted from another certificate is refused even when the outer signature is right', async () => {
  const stolen = await issueCertificate({ ...bob, privateKey: liftedFrom(alice, bob) });
  await rejects(peerIdOfCertificate(rawOf(stolen)), denied(/did not sign this key/));
});

/** Claims the public key of `victim` but can only sign with the forger's own key. */
function liftedFrom(victim: typeof alice, forger: typeof alice): typeof alice.privateKey {
  const { privateKey } = forger;
  return {
    type: privateKey.type,
    raw: privateKey.raw,
    publicKey: victim.privateKey.publicKey,
    equals: (key) => privateKey.equals(key),
    sign: (data) => privateKey.sign(data),
    toMultihash: () => privateKey.publicKey.toMultihash(),
    toCID: () => privateKey.publicKey.toCID(),
    toString: () => privateKey.publicKey.toString(),
  } as typeof alice.privateKey;
}

test('no byte of a certificate can be changed, and no prefix of it passes', async () => {
  const der = rawOf(await issueCertificate(alice));
  for (let at = 0; at < der.length; at++) {
    const flipped = Buffer.from(der);
    flipped[at]! ^= 0x01;
    await rejects(peerIdOfCertificate(flipped), denied(/./), `byte ${at}`);
    await rejects(peerIdOfCertificate(der.subarray(0, at)), denied(/./), `the first ${at} bytes`);
  }
});

test('what is no certificate of a node is refused as such, however it is made', async () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const shapes = [Buffer.alloc(0), Buffer.from('hello'), publicKey.export({ type: 'spki', format: 'der' })];
  for (const shape of shapes) await rejects(peerIdOfCertificate(shape), denied(/not a certificate/));
  await rejects(peerIdOfCertificate(Buffer.alloc(5_000)), denied(/larger/));
});
