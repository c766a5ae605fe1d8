/** What another node asks of this one, by whatever way it came, and the way back. */
export type Call = {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** All of the body; null: it was too large, which who asked was told, or there is nobody any more. Ask once, at once. */
  body(bytesMax: number): Promise<Buffer | null>;
  readonly isAnswered: boolean;
  /** Nothing can be told any more. */
  readonly isOver: boolean;
  /** Goes out at once: it tells that somebody is there. */
  answer(status: number, headers: Readonly<Record<string, string>>): void;
  /** False: no more before it has drained. */
  write(part: Uint8Array): boolean;
  end(): void;
  /** Breaks the answer off, so that nobody takes it for whole. */
  destroy(): void;
  onDrain(listener: () => void): void;
  /** Called once, when it is complete or who asked has gone. */
  onClose(listener: () => void): void;
};
