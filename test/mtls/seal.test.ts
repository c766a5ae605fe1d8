import { equal, match, notEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { generateKeyPair, generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { Identity } from '../../src/mtls/identity.ts';
import { sealFrom } from '../../src/mtls/seal.ts';

async function identity(number: number): Promise<Identity> {
  const seed = Uint8Array.from({ length: 32 }, (_, i) => (number >> (8 * i)) & 0xff);
  const privateKey = await generateKeyPairFromSeed('Ed25519', seed);
  return { peerId: peerIdFromPrivateKey(privateKey).toString(), privateKey };
}

const ada = await identity(1);
const bob = await identity(2);

test('what one node signs, every other one can check by its peer id alone', () => {
  const signature = sealFrom(ada).sign('I am here');
  match(signature, /^[\w-]{86}$/);
  equal(sealFrom(bob).verify(ada.peerId, 'I am here', signature), true);
  equal(sealFrom(bob).verify(ada.peerId, 'I am there', signature), false);
  equal(sealFrom(bob).verify(bob.peerId, 'I am here', signature), false);
});

test('the signature is the one libp2p makes with the same key', async () => {
  const text = 'naïve → 🦆';
  const signature = Buffer.from(sealFrom(ada).sign(text), 'base64url');
  equal(await ada.privateKey.publicKey.verify(Buffer.from(text), signature), true);
});

test('garbage is no signature and no peer id, and never throws', async () => {
  const seal = sealFrom(ada);
  const signature = seal.sign('text');
  const rsa = peerIdFromPrivateKey(await generateKeyPair('RSA', 1_024)).toString();
  const secp = peerIdFromPrivateKey(await generateKeyPair('secp256k1')).toString();
  const cid = peerIdFromPrivateKey(ada.privateKey).toCID().toString();
  for (const peerId of ['', 'nobody', '1', rsa, secp, cid, 'Q'.repeat(46), '1'.repeat(100_000), '\ud800'])
    equal(seal.verify(peerId, 'text', signature), false, peerId.slice(0, 60));
  for (const forged of ['', 'x', `${signature}=`, signature.slice(1), 'A'.repeat(86), '\0'.repeat(86)])
    equal(seal.verify(ada.peerId, 'text', forged), false, forged);
  equal(seal.verify(ada.peerId, 'text', signature), true);
});

test('more peers than keys are kept do no harm', async () => {
  const seal = sealFrom(ada);
  const signature = seal.sign('text');
  const peerIds = await Promise.all(
    Array.from({ length: 1_100 }, async (_, i) => (await identity(i + 3)).peerId),
  );
  for (const peerId of peerIds) equal(seal.verify(peerId, 'text', signature), false);
  equal(seal.verify(ada.peerId, 'text', signature), true);
  notEqual(new Set(peerIds).size, 1);
});
