/**
 * The certificate of a node, after the libp2p TLS specification: a throw-away P-256 key signs its own certificate,
 * and an extension in it holds the node's lasting Ed25519 public key with that key's signature over the certificate's
 * public key. TLS proves that the other side holds the certificate's key, the extension that the identity vouches for
 * that key. Nothing else in the certificate is read or trusted: no name, no issuer, no authority.
 *
 *   SEQUENCE { OCTET STRING protobuf(public key), OCTET STRING sign("libp2p-tls-handshake:" + SubjectPublicKeyInfo) }
 */
import { generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { publicKeyFromProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import * as asn1 from 'asn1js';
import { Failure } from '../std/failure.ts';
import type { Identity } from './identity.ts';

export type Credentials = { readonly key: string; readonly cert: string };

const identityExtension = '1.3.6.1.4.1.53594.1.1';
const ecdsaWithSha256 = '1.2.840.10045.4.3.2';

/**
 * A certificate lives as long as its process, and its revocation is the tag's business, so it is in force whatever a
 * clock says, ours when it is issued or that of whom it is shown to: until the last second that a UTCTime tells.
 */
const always = { from: 0, to: Date.UTC(2049, 11, 31, 23, 59, 59) };

/** Real ones are about 450 bytes; a longer one is refused before anything in it is parsed. */
const certificateBytesMax = 4_096;

export async function issueCertificate(identity: Identity, { from, to } = always): Promise<Credentials> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const extension = sequence(
    octets(publicKeyToProtobuf(identity.privateKey.publicKey)),
    octets(await identity.privateKey.sign(vouched(spki))),
  );
  const algorithm = sequence(new asn1.ObjectIdentifier({ value: ecdsaWithSha256 }));
  const nobody = sequence();
  const tbs = sequence(
    explicit(0, new asn1.Integer({ value: 2 })),
    asn1.Integer.fromBigInt(BigInt(`0x7f${randomBytes(15).toString('hex')}`)),
    algorithm,
    nobody,
    sequence(time(from), time(to)),
    nobody,
    parsed(spki),
    explicit(
      3,
      sequence(
        sequence(
          new asn1.ObjectIdentifier({ value: identityExtension }),
          new asn1.Boolean({ value: true }),
          octets(new Uint8Array(extension.toBER())),
        ),
      ),
    ),
  );
  const signature = sign('sha256', new Uint8Array(tbs.toBER()), privateKey);
  const der = sequence(tbs, algorithm, new asn1.BitString({ valueHex: toArrayBuffer(signature) })).toBER();
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: new X509Certificate(Buffer.from(der)).toString(),
  };
}

/**
 * The peer id that a certificate, just proven by a TLS handshake, speaks for. Failure `denied` when it speaks for
 * nobody: not in force, not signed by its own key, without the extension, or with one that does not fit.
 */
export async function peerIdOfCertificate(der: Uint8Array, wallNowMs = Date.now()): Promise<string> {
  if (der.byteLength > certificateBytesMax) throw refused('larger than any of ours');
  try {
    const certificate = new X509Certificate(der);
    const now = new Date(wallNowMs);
    if (certificate.validFromDate > now || certificate.validToDate < now) throw refused('not in force');
    if (!certificate.verify(certificate.publicKey)) throw refused('not signed by its own key');
    const [keyBytes, signature] = extensionOf(certificate);
    const identityKey = publicKeyFromProtobuf(keyBytes);
    if (identityKey.type !== 'Ed25519') throw refused('the identity is not an ed25519 key');
    const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
    if (!(await identityKey.verify(vouched(spki), signature)))
      throw refused('the identity did not sign this key');
    return peerIdFromPublicKey(identityKey).toString();
  } catch (error) {
    throw error instanceof Failure ? error : refused('not a certificate of a node', error);
  }
}

/** Everything below reads what a stranger sent: a shape that is not exactly ours is refused. */
function extensionOf(certificate: X509Certificate): [key: Uint8Array, signature: Uint8Array] {
  const [tbs] = members(parsed(certificate.raw));
  const wrapped = members(tbs).find((part) => part.idBlock.tagClass === 3 && part.idBlock.tagNumber === 3);
  const ours = members(members(wrapped)[0]).find((extension) => {
    const [id] = members(extension);
    return id instanceof asn1.ObjectIdentifier && id.getValue() === identityExtension;
  });
  if (ours === undefined) throw refused('no identity extension');
  const [key, signature, ...rest] = members(parsed(bytesOf(members(ours).at(-1))));
  if (rest.length > 0) throw refused('an identity extension of another shape');
  return [bytesOf(key), bytesOf(signature)];
}

function members(block: asn1.BaseBlock | undefined): asn1.BaseBlock[] {
  if (!(block instanceof asn1.Constructed)) throw refused('another shape of certificate');
  return block.valueBlock.value as asn1.BaseBlock[];
}

function bytesOf(block: asn1.BaseBlock | undefined): Uint8Array {
  if (!(block instanceof asn1.OctetString)) throw refused('another shape of identity extension');
  return new Uint8Array(block.getValue());
}

function parsed(der: Uint8Array): asn1.BaseBlock {
  const { offset, result } = asn1.fromBER(toArrayBuffer(der));
  if (offset !== der.byteLength) throw refused('bytes that do not parse');
  return result;
}

const vouched = (spki: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from('libp2p-tls-handshake:', 'ascii'), spki]);

const refused = (why: string, cause?: unknown): Failure =>
  new Failure('denied', `peer certificate: denied: ${why}`, cause);

const sequence = (...value: asn1.BaseBlock[]): asn1.Sequence => new asn1.Sequence({ value });
const octets = (bytes: Uint8Array): asn1.OctetString =>
  new asn1.OctetString({ valueHex: toArrayBuffer(bytes) });
const explicit = (tagNumber: number, inner: asn1.BaseBlock): asn1.Constructed =>
  new asn1.Constructed({ idBlock: { tagClass: 3, tagNumber }, value: [inner] });

/** RFC 5280, 4.1.2.5: UTCTime up to 2049. */
const time = (ms: number): asn1.UTCTime => new asn1.UTCTime({ valueDate: new Date(ms) });

const toArrayBuffer = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;
