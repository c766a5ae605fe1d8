import type { Dispatcher } from 'undici';

/** The way to an engine, our own or another node's: undici's own way of asking, and nothing else of it. */
export type Way = Pick<Dispatcher, 'dispatch'>;
