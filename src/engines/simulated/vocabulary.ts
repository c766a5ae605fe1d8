/**
 * The simulated model's tokens: a byte-level vocabulary of the kind that GPT-2 began, 3 special tokens, the 256
 * bytes and 125 merges. Bytes stand in GPT-2's order, the printable ones first, so that ids mean the same as in any
 * small byte-level model. A character outside ASCII is two to four tokens, one merge is the first half of an emoji:
 * a stream can be cut inside a character, as with a real model.
 *
 * Encoding takes the longest token at each place. That is not how a BPE merges, and it need not be: what matters is
 * that it is total, quick and always the same.
 */
import { assert } from '../../std/assert.ts';

const specials = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];
/** Ends a turn, and with it a generation. */
export const eosId = 2;

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

const printable = [...range(33, 126), ...range(161, 172), ...range(174, 255)];
const byteOrder = [...printable, ...range(0, 255).filter((byte) => !printable.includes(byte))];

export const syllables = [...'bdgklmnprstv'].flatMap((consonant) => [...'aeio'].map((v) => consonant + v));
export const suffixes = ['ing', 'er', 'en', 'an', 'st', 'th', 'ed', 'es', 'ly'];
export const shortWords = (
  'the and of to in is was we it on at for with as by from that this they'.split(' ') as readonly string[]
).map((word) => ` ${word}`);
/** The two bytes that most emoji begin with. */
const emojiHead = Buffer.from([0xf0, 0x9f]);

const merges: readonly Buffer[] = [
  ...[...syllables, ...syllables.map((syllable) => ` ${syllable}`), ...suffixes, ...shortWords].map((text) =>
    Buffer.from(text),
  ),
  emojiHead,
];

const bytesById: readonly Buffer[] = [
  ...specials.map((text) => Buffer.from(text)),
  ...byteOrder.map((byte) => Buffer.from([byte])),
  ...merges,
];
export const vocabularySize = bytesById.length;
assert(vocabularySize === 384, 'the vocabulary has 384 tokens');

/** Keyed by the token's bytes as a latin1 string. */
const idByBytes = new Map(
  bytesById.map((bytes, id) => [bytes.toString('latin1'), id] as const).slice(specials.length),
);
const longest = Math.max(...merges.map((bytes) => bytes.length));
const specialIdByText = new Map(specials.map((text, id) => [text, id]));
const specialPattern = new RegExp(`(${specials.map((text) => text.replaceAll('|', '\\|')).join('|')})`);

export const isSpecial = (id: number): boolean => id < specials.length;
export const bytesOf = (id: number): Uint8Array => bytesById[id]!;

export function idOfByte(byte: number): number {
  return specials.length + byteOrder.indexOf(byte);
}

export function idOf(text: string): number {
  const id = idByBytes.get(Buffer.from(text).toString('latin1'));
  assert(id !== undefined, `${text} is one token`);
  return id;
}

export const emojiHeadId = idByBytes.get(emojiHead.toString('latin1'))!;

/** At most `limit` + 1 ids: enough to know that a prompt is too long without reading all of it. */
export function encode(text: string, limit: number): number[] {
  const ids: number[] = [];
  for (const piece of text.split(specialPattern)) {
    const special = specialIdByText.get(piece);
    if (special === undefined) encodePiece(piece, ids, limit);
    else if (ids.length <= limit) ids.push(special);
  }
  return ids;
}

function encodePiece(piece: string, ids: number[], limit: number): void {
  const bytes = Buffer.from(piece).toString('latin1');
  for (let at = 0; at < bytes.length && ids.length <= limit;) {
    let length = Math.min(longest, bytes.length - at);
    while (!idByBytes.has(bytes.slice(at, at + length))) length--;
    ids.push(idByBytes.get(bytes.slice(at, at + length))!);
    at += length;
  }
}

/** Bytes that are no UTF-8 become U+FFFD, one for each maximal part of a character. */
export function decode(ids: readonly number[], options: { readonly skipSpecial: boolean }): string {
  const shown = options.skipSpecial ? ids.filter((id) => !isSpecial(id)) : ids;
  return Buffer.concat(shown.map((id) => bytesById[id]!)).toString('utf8');
}

/** One printable character for each byte, as byte-level tokenizers write their tokens: a space is `Ġ`. */
const glyphByByte = new Map(
  byteOrder.map((byte, i) => [
    byte,
    String.fromCodePoint(i < printable.length ? byte : 256 + i - printable.length),
  ]),
);
const idByGlyphs = new Map(
  bytesById.map((bytes, id) => [isSpecial(id) ? specials[id]! : glyphs(bytes), id] as const),
);

function glyphs(bytes: Uint8Array): string {
  return [...bytes].map((byte) => glyphByByte.get(byte)!).join('');
}

export const glyphsOf = (id: number): string => (isSpecial(id) ? specials[id]! : glyphs(bytesById[id]!));
/** Undefined for what is no token. */
export const idOfGlyphs = (text: string): number | undefined => idByGlyphs.get(text);
