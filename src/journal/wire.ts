/**
 * What an entry node and the holders of its copies say to one another, as bytes. A message is a version, a kind and a
 * body; a batch is a list of updates, each with its kind and its length. Who reads passes over kinds of updates that it
 * does not know and over what follows the fields it knows, so a later version may add to both, and nodes of two
 * versions hold each other's logs. A version is therefore only told, for people; nothing depends on it.
 *
 * A token costs its place here besides its own bytes: kind, length, number of the stream and offset, about six.
 */
import { ByteReader, ByteWriter } from '../std/bytes.ts';
import { memberId } from '../std/member-id.ts';
import { type Fence } from './fence.ts';

const version = 1;
const kinds = { batch: 1, peek: 2, fence: 3, hand: 4, session: 5, have: 6 } as const;
const updateKinds = { open: 1, grow: 2, end: 3, touch: 4 } as const;

/** `number`: short for the stream's id, from its `open` on, for one session of one entry node. */
export type Update =
  | {
      readonly type: 'open';
      readonly number: number;
      readonly id: string;
      readonly fence: Fence;
      /** All of the log so far. */
      readonly bytes: Uint8Array;
      /** The key whose log it is; empty: none, or of an earlier version. */
      readonly owner: string;
    }
  | {
      readonly type: 'grow';
      readonly number: number;
      /** Where `bytes` belong in the log. */
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  /** It is complete, or nobody goes on with it here. `lingerMs`: how long it may still be asked for. */
  | { readonly type: 'end'; readonly number: number; readonly lingerMs: number }
  /** Nothing new, and it still runs. */
  | { readonly type: 'touch'; readonly number: number };

export type Batch = { readonly type: 'batch'; readonly session: number; readonly updates: readonly Update[] };

export type Message =
  | Batch
  /** Gives the log as it is held. */
  | { readonly type: 'peek'; readonly id: string }
  /** Whoever wrote it with less than this fence does so no more. */
  | { readonly type: 'fence'; readonly id: string; readonly fence: Fence }
  /** Of a holder that leaves: what nobody else looks after. */
  | { readonly type: 'hand'; readonly logs: readonly HandedLog[] }
  /** Asks an entry node whether it still writes in this one. */
  | { readonly type: 'session'; readonly session: number }
  /** Of a holder that lost sight of their entry node: asks who else has as much of these logs. */
  | { readonly type: 'have'; readonly logs: readonly AskedLog[] };

/** As long as whoever asks has it. */
export type AskedLog = { readonly id: string; readonly fence: Fence; readonly length: number };

/**
 * Why an update was not taken, or of what is handed on or asked for the log of this place; all that a holder does not
 * mention it has.
 */
export type Verdict = {
  readonly number: number;
  /** unknown: the whole log is wanted. full: no room. fenced: it is another entry node's by now. */
  readonly why: 'unknown' | 'full' | 'fenced';
};
const verdicts = ['unknown', 'full', 'fenced'] as const;

/** A log as somebody holds it. */
export type HeldLog = {
  readonly bytes: Uint8Array;
  readonly fence: Fence;
  /** Its entry node said that it will not grow. */
  readonly ended: boolean;
};

/** A log as a holder hands it on. */
export type HandedLog = HeldLog & {
  readonly id: string;
  /** The key whose log it is; empty: none. */
  readonly owner: string;
  /** Of its entry node; null: another one took it over, and has not been heard here. */
  readonly session: number | null;
  /** For how long it would be held here. */
  readonly leftMs: number;
};

export function messageBytes(message: Message): Uint8Array {
  const into = new ByteWriter(capacityFor(message)).varint(version).varint(kinds[message.type]);
  switch (message.type) {
    case 'batch':
      into.varint(message.session);
      for (const update of message.updates) writeUpdate(into, update);
      return into.bytes();
    case 'peek':
      return into.text(message.id).bytes();
    case 'fence':
      return writeFence(into.text(message.id), message.fence).bytes();
    case 'hand':
      for (const log of message.logs) writeHanded(into, log);
      return into.bytes();
    case 'session':
      return into.varint(message.session).bytes();
    case 'have':
      for (const { id, fence, length } of message.logs)
        into.sized(writeFence(scratch.clear().text(id), fence).varint(length).bytes());
      return into.bytes();
  }
}

/** Whole logs among them, so that none is copied a second time because the first room was too small. */
function capacityFor(message: Message): number {
  const parts = message.type === 'batch' ? message.updates : message.type === 'hand' ? message.logs : [];
  let bytes = 128;
  for (const part of parts) bytes += 128 + ('bytes' in part ? part.bytes.length : 0);
  return bytes;
}

/** null: not a message that this version knows. */
export function readMessage(bytes: Uint8Array): Message | null {
  const reader = new ByteReader(bytes);
  reader.varint();
  const message = readKind(reader.varint(), reader);
  return reader.broken ? null : message;
}

function readKind(kind: number, reader: ByteReader): Message | null {
  if (kind === kinds.peek) return { type: 'peek', id: reader.text() };
  if (kind === kinds.fence) return { type: 'fence', id: reader.text(), fence: readFence(reader) };
  if (kind === kinds.session) return { type: 'session', session: reader.varint() };
  if (kind === kinds.hand) return { type: 'hand', logs: readHandedLogs(reader) };
  if (kind === kinds.have) return { type: 'have', logs: readAskedLogs(reader) };
  if (kind !== kinds.batch) return null;
  const session = reader.varint();
  const updates: Update[] = [];
  while (!reader.isAtEnd) {
    const read = readUpdate(reader.varint(), new ByteReader(reader.sized()));
    if (read !== null) updates.push(read);
  }
  return { type: 'batch', session, updates };
}

const scratch = new ByteWriter(4_096);

function writeUpdate(into: ByteWriter, update: Update): void {
  const body = scratch.clear().varint(update.number);
  switch (update.type) {
    case 'open':
      writeFence(body.text(update.id), update.fence).sized(update.bytes).text(update.owner);
      break;
    case 'grow':
      body.varint(update.offset).raw(update.bytes);
      break;
    case 'end':
      body.varint(update.lingerMs);
      break;
    case 'touch':
      break;
  }
  into.varint(updateKinds[update.type]).sized(body.bytes());
}

/** null: of a later version, or broken. */
function readUpdate(kind: number, body: ByteReader): Update | null {
  const number = body.varint();
  const update = readBody(kind, number, body);
  return body.broken ? null : update;
}

function readBody(kind: number, number: number, body: ByteReader): Update | null {
  switch (kind) {
    case updateKinds.open: {
      const id = body.text();
      const fence = readFence(body);
      const bytes = body.sized();
      return { type: 'open', number, id, fence, bytes, owner: body.isAtEnd ? '' : body.text() };
    }
    case updateKinds.grow:
      return { type: 'grow', number, offset: body.varint(), bytes: body.rest() };
    case updateKinds.end:
      return { type: 'end', number, lingerMs: body.varint() };
    case updateKinds.touch:
      return { type: 'touch', number };
    default:
      return null;
  }
}

/** `session` as one more than it is: none is 0. */
function writeHanded(into: ByteWriter, log: HandedLog): void {
  const { id, owner, session, fence, ended, leftMs, bytes } = log;
  const body = writeFence(scratch.clear().text(id), fence).text(owner);
  body.varint(session === null ? 0 : session + 1).varint(ended ? 1 : 0);
  into.sized(body.varint(Math.ceil(leftMs)).sized(bytes).bytes());
}

function readHandedLogs(reader: ByteReader): readonly HandedLog[] {
  const logs: HandedLog[] = [];
  while (!reader.isAtEnd) {
    const body = new ByteReader(reader.sized());
    const [id, fence, owner, session] = [body.text(), readFence(body), body.text(), body.varint()];
    const [ended, leftMs, bytes] = [body.varint() !== 0, body.varint(), body.sized()];
    // Its place is what it is answered by.
    if (body.broken) reader.broken = true;
    logs.push({ id, fence, owner, session: session === 0 ? null : session - 1, ended, leftMs, bytes });
  }
  return logs;
}

function readAskedLogs(reader: ByteReader): readonly AskedLog[] {
  const logs: AskedLog[] = [];
  while (!reader.isAtEnd) {
    const body = new ByteReader(reader.sized());
    logs.push({ id: body.text(), fence: readFence(body), length: body.varint() });
    if (body.broken) reader.broken = true;
  }
  return logs;
}

export function verdictBytes(said: readonly Verdict[]): Uint8Array {
  const into = new ByteWriter().varint(version);
  for (const { number, why } of said) into.varint(number).varint(verdicts.indexOf(why));
  return into.bytes();
}

/** null: not an answer. A word that is not known asks for the whole log: that is always right. */
export function readVerdicts(bytes: Uint8Array): readonly Verdict[] | null {
  const reader = new ByteReader(bytes);
  const said: Verdict[] = [];
  reader.varint();
  while (!reader.isAtEnd) said.push({ number: reader.varint(), why: verdicts[reader.varint()] ?? 'unknown' });
  return reader.broken ? null : said;
}

/** null: it is not held. */
export function heldBytes(held: HeldLog | null): Uint8Array {
  const into = new ByteWriter((held?.bytes.length ?? 0) + 128).varint(version).varint(held === null ? 0 : 1);
  if (held === null) return into.bytes();
  return writeFence(into, held.fence)
    .varint(held.ended ? 1 : 0)
    .sized(held.bytes)
    .bytes();
}

export function readHeld(bytes: Uint8Array): HeldLog | null {
  const reader = new ByteReader(bytes);
  reader.varint();
  if (reader.varint() === 0) return null;
  const held = { fence: readFence(reader), ended: reader.varint() !== 0, bytes: reader.sized() };
  return reader.broken ? null : held;
}

const writeFence = (into: ByteWriter, { epoch, by }: Fence): ByteWriter => into.varint(epoch).text(by);
const readFence = (reader: ByteReader): Fence => ({ epoch: reader.varint(), by: memberId(reader.text()) });
