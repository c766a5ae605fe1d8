/**
 * What a member says in a form that others can pass on: the text as it was signed, byte for byte, and the signature.
 * A relay keeps the text as it came, so what an older version does not understand survives it.
 */
export type Sealed = { readonly text: string; readonly signature: string };

/** Signs as this node and checks what others signed: Ed25519 over the UTF-8 bytes, signatures in base64url. */
export type Seal = {
  sign(text: string): string;
  /** False for whatever is no signature of that peer: a wrong one, garbage, an id that is no peer id. Never throws. */
  verify(peerId: string, text: string, signature: string): boolean;
};
