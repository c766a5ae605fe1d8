import type { MemberId } from '../std/member-id.ts';
import type { Protection } from '../stream/protection.ts';
import type { Refusal } from '../stream/refusal.ts';
import type { ClientEvent } from './gate.ts';

/** What the head of an answer says of how it is protected. */
export type AnswerHead = {
  /** The member whose engine said it, as far as any has. */
  readonly by: MemberId | null;
  readonly protection: Protection;
  /** null: nobody else could go on with it. */
  readonly stream: { readonly id: string; readonly copies: number } | null;
};

/** The way back to one client. */
export type ClientEnd = {
  /** `head`: what stands before the first one. */
  send(event: ClientEvent, head: () => AnswerHead): void;
  /** There is nothing to tell yet, and its connection is to stay open: a comment, before which the head goes out too. */
  comment(head: () => AnswerHead): void;
  /** The stream is complete. */
  close(): void;
  /** The whole answer. */
  answer(whole: WholeAnswer, head: AnswerHead): void;
  /** By its status where no head is out, else in the stream. */
  refuse(refusal: Refusal): void;
};

export type WholeAnswer = { readonly status: number; readonly body: string };
