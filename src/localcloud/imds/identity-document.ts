/**
 * The signed document by which an instance can show who it is. AWS signs with one RSA key per region (SHA-256, its
 * certificate published); here each local cloud makes its own key, on first use: most runs never ask.
 */
import { createSign, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

type Signer = {
  /** Base64 in lines, as IMDS shows it under dynamic/instance-identity/signature. */
  sign(document: string): Promise<string>;
  /** PEM of the public key that verifies what `sign` returns. */
  publicKey(): Promise<string>;
};

export function openSigner(): Signer {
  let pair: Promise<{ readonly privateKey: KeyObject; readonly publicKey: KeyObject }> | null = null;
  const keys = (): NonNullable<typeof pair> =>
    (pair ??= promisify(generateKeyPair)('rsa', { modulusLength: 2048 }));
  return {
    async sign(document) {
      const { privateKey } = await keys();
      const signature = createSign('RSA-SHA256').update(document).sign(privateKey, 'base64');
      return signature.match(/.{1,64}/g)!.join('\n');
    },
    async publicKey() {
      const { publicKey } = await keys();
      return publicKey.export({ type: 'spki', format: 'pem' }).toString();
    },
  };
}
