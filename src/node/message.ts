/**
 * What members tell each other. Two forms, told apart by their first byte: a beat is fifteen bytes, because each node sends
 * dozens a second; everything else is JSON, readable in a packet dump and open to what a newer version adds.
 *
 * Whatever arrives is parsed here, once, into types that the machines trust: counted, measured and without the fields
 * that this version does not know. A message of an unknown type is nothing, because its sender may be newer; records
 * and votes are passed on as the text that was signed, so relays lose nothing.
 */
import { z } from 'zod';
import type { Entry as Vouched } from '../discovery/events.ts';
import type { RegistryMessage } from '../registry/events.ts';
import { openRecord, textBytesMax } from '../registry/sealed.ts';
import { wantMax } from '../registry/sync.ts';
import { bucketCount, type ViewHash } from '../registry/view-hash.ts';
import { memberId } from '../std/member-id.ts';
import type { Sealed } from '../std/seal.ts';
import type { MemberLoad } from './serving.ts';
import { openVote, type SealedVote } from './sealed-vote.ts';

/** The frame of a direct stream holds no more. */
const messageBytesMax = 65_536;
/** Members of a cell twice over, and a registry's own bound. */
const entriesMax = 1_000;
/** What discovery tells at once, twice. */
const vouchMax = 128;
/** What discovery asks about at once. */
const askMax = 64;
const beatByte = 0x01;
const beatBytes = 15;
/** Room for what a newer version puts behind the stamp. */
const beatBytesMax = 64;
const braceByte = 0x7b;
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });
/** Of each byte. */
const hexes = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** The versions of this protocol that a node speaks, both ends included. */
export type ProtocolRange = { readonly min: number; readonly max: number };

export type Message =
  | { readonly type: 'beat'; readonly hash: ViewHash; readonly stamp: number }
  /** The first message on every direct stream. */
  | { readonly type: 'hello'; readonly protocol: ProtocolRange; readonly version: string }
  | ({ readonly type: 'load' } & MemberLoad)
  /** The engine stands still: the load told before holds no more. */
  | { readonly type: 'mute' }
  /** The sender wants beats from us, or no more of them. */
  | { readonly type: 'watch'; readonly on: boolean }
  | SealedVote
  /** Two others hold the receiver dead in this life of it. */
  | { readonly type: 'accused'; readonly incarnation: number }
  | { readonly type: 'vouch'; readonly entries: readonly Vouched[] }
  /** Whose keys these are, as far as the receiver knows. */
  | { readonly type: 'ask'; readonly peerIds: readonly string[] }
  | RegistryMessage;

/** How messages become what a network carries, and back: `wireCodec`, but where a thousand nodes share one process. */
export type Codec = {
  encode(message: Message): Uint8Array;
  /** null: nothing that this version knows; the sender may be newer, or hostile. Never throws. */
  decode(body: Uint8Array): Message | null;
};

export function encode(message: Message): Uint8Array {
  if (message.type === 'beat') return beatFrom(message);
  return encoder.encode(JSON.stringify(wireForm(message)));
}

export function decode(body: Uint8Array): Message | null {
  if (body[0] === beatByte) return parseBeat(body);
  if (body[0] !== braceByte || body.byteLength > messageBytesMax) return null;
  const told = wire.safeParse(parseJson(body)).data;
  return told === undefined ? null : opened(told);
}

export const wireCodec: Codec = { encode, decode };

const count = z.int().min(0);
const name = z.string().min(1).max(256);
const id = name.refine((text) => text.isWellFormed()).transform(memberId);
const version = z.int().min(1).max(65_535);
/** An Ed25519 signature is 86 characters of base64url. */
const signature = z.string().max(128);
const sealed = { text: z.string().max(textBytesMax), signature };
const bucket = count.max(bucketCount - 1);

/** 64 buckets of two lanes, in one string of hex: as JSON numbers they would be twice as long. */
const buckets = z
  .string()
  .regex(new RegExp(`^[0-9a-f]{${bucketCount * 16}}$`))
  .transform((hex) =>
    Array.from({ length: bucketCount }, (_, i) => hashFromHex(hex.slice(i * 16, i * 16 + 16))),
  );

const entry = z
  .tuple([id, count, count, z.union([z.literal(0), z.literal(1)])])
  .rest(z.unknown())
  .transform(([id, incarnation, sequence, dead]) => ({ id, incarnation, sequence, dead: dead === 1 }));

const vouched = z.object({
  id,
  peerId: name,
  address: z.object({ host: name, port: z.int().min(1).max(65_535) }),
  // What EC2 says of it, which may be nothing.
  zone: z.string().max(256),
  role: z.string().max(256),
  left: z.boolean().exactOptional(),
  ageMs: count.exactOptional(),
});

/** One instance, as a member or an earlier life of ours tells of it; null: that is none. */
export const readVouched = (told: unknown): Vouched | null => vouched.safeParse(told).data ?? null;

const wire = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('hello'),
    protocol: z.object({ min: version, max: version }).refine(({ min, max }) => min <= max),
    version: name,
  }),
  z.object({ type: z.literal('record'), ...sealed }),
  z.object({ type: z.literal('records'), records: z.array(z.object(sealed)).max(wantMax) }),
  z.object({
    type: z.literal('load'),
    ...{ running: count, waiting: count, kvUsage: z.number().min(0).max(1).exactOptional() },
  }),
  z.object({ type: z.literal('mute') }),
  z.object({ type: z.literal('watch'), on: z.boolean() }),
  z.object({ type: z.literal('vote'), ...sealed }),
  z.object({ type: z.literal('accused'), incarnation: count }),
  z.object({ type: z.literal('hashes'), buckets }),
  z.object({
    type: z.literal('entries'),
    buckets: z.array(bucket).max(bucketCount),
    entries: z.array(entry).max(entriesMax),
    reply: z.boolean(),
  }),
  z.object({ type: z.literal('want'), ids: z.array(id).max(wantMax) }),
  z.object({ type: z.literal('ask'), peerIds: z.array(name).max(askMax) }),
  z.object({ type: z.literal('vouch'), entries: z.array(z.unknown()).max(vouchMax) }),
]);

/** Reads what members signed. One record or one instance of many that cannot be read keeps nobody from the others. */
function opened(told: z.infer<typeof wire>): Message | null {
  if (told.type === 'vote') return openVote(told);
  if (told.type === 'records')
    return { type: 'records', records: told.records.flatMap((each) => openRecord(each) ?? []) };
  if (told.type === 'vouch')
    return { type: 'vouch', entries: told.entries.flatMap((each) => readVouched(each) ?? []) };
  if (told.type !== 'record') return told;
  const signed = openRecord(told);
  return signed === null ? null : { type: 'record', ...signed };
}

function wireForm(message: Exclude<Message, { type: 'beat' }>): unknown {
  const { type } = message;
  if (type === 'vote' || type === 'record') return { type, ...sealedOf(message) };
  if (type === 'records') return { type, records: message.records.map(sealedOf) };
  if (type === 'hashes') return { type, buckets: message.buckets.map(hexFrom).join('') };
  if (type !== 'entries') return message;
  const entries = message.entries.map((e) => [e.id, e.incarnation, e.sequence, e.dead ? 1 : 0]);
  return { ...message, entries };
}

const sealedOf = ({ text, signature }: Sealed): Sealed => ({ text, signature });

function beatFrom({ hash, stamp }: Extract<Message, { type: 'beat' }>): Uint8Array {
  const body = new Uint8Array(beatBytes);
  const view = new DataView(body.buffer);
  view.setUint8(0, beatByte);
  view.setUint32(1, hash.high);
  view.setUint32(5, hash.low);
  view.setUint16(9, Math.floor(stamp / 2 ** 32) % 2 ** 16);
  view.setUint32(11, stamp % 2 ** 32);
  return body;
}

function parseBeat(body: Uint8Array): Message | null {
  if (body.byteLength < beatBytes || body.byteLength > beatBytesMax) return null;
  const view = new DataView(body.buffer, body.byteOffset, beatBytes);
  const hash = { high: view.getUint32(1), low: view.getUint32(5) };
  return { type: 'beat', hash, stamp: view.getUint16(9) * 2 ** 32 + view.getUint32(11) };
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(body));
  } catch {
    return null; // Garbage from a peer is an expected outcome here, told by null.
  }
}

const hexFrom = ({ high, low }: ViewHash): string => hexOf(high) + hexOf(low);

const hexOf = (lane: number): string =>
  hexes[lane >>> 24]! + hexes[(lane >>> 16) & 255]! + hexes[(lane >>> 8) & 255]! + hexes[lane & 255]!;

const hashFromHex = (hex: string): ViewHash => ({
  high: Number.parseInt(hex.slice(0, 8), 16),
  low: Number.parseInt(hex.slice(8), 16),
});
