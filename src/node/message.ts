/**
 * What members tell each other. Two forms, told apart by their first byte: a beat is nine bytes, because each node sends
 * dozens a second; everything else is JSON, readable in a packet dump and open to what a newer version adds.
 *
 * Whatever arrives is parsed here, once, into types that the machines trust: counted, measured and without the fields
 * that this version does not know. A message of an unknown type is nothing, because its sender may be newer; records
 * and votes are passed on as the text that was signed, so relays lose nothing.
 */
import type { RegistryMessage } from '../registry/events.ts';
import type { ViewHash } from '../registry/view-hash.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Sealed } from '../std/seal.ts';

/** The versions of this protocol that a node speaks, both ends included. */
export type ProtocolRange = { readonly min: number; readonly max: number };

/** What one member knows from EC2 of an instance, told to those that did not look. */
export type VouchEntry = {
  readonly id: MemberId;
  readonly peerId: string;
  readonly address: { readonly host: string; readonly port: number };
  readonly zone: string;
  readonly role: string;
  /** It said goodbye, or EC2 lists it no more. */
  readonly left?: boolean;
};

export type Message =
  | { readonly type: 'beat'; readonly hash: ViewHash }
  /** The first message on every direct stream. */
  | { readonly type: 'hello'; readonly protocol: ProtocolRange; readonly version: string }
  | { readonly type: 'load'; readonly running: number; readonly waiting: number }
  /** The engine stands still: the load told before holds no more. */
  | { readonly type: 'mute' }
  /** The sender wants beats from us, or no more of them. */
  | { readonly type: 'watch'; readonly on: boolean }
  | ({ readonly type: 'vote' } & Sealed)
  | { readonly type: 'vouch'; readonly entries: readonly VouchEntry[] }
  | RegistryMessage;
