import type { Dispatcher } from 'undici';
import { Failure } from '../std/failure.ts';

/** The way to an engine, our own or another node's: undici's own way of asking, and nothing else of it. */
export type Way = Pick<Dispatcher, 'dispatch'>;

/** Whoever is there has begun nothing, for it is full or on its way out, or so many wait for it that we did not ask. */
export const isTurnedAway = (error: Error): boolean => error instanceof Failure && error.kind === 'busy';

/** Our own engine is dead: what was asked of it is lost with it, and nothing was said. */
export const engineDead = (): Failure => new Failure('missing', 'engine: missing: it is dead');
export const isEngineDead = (error: Error): boolean => error instanceof Failure && error.kind === 'missing';

/** What a connection broke by: the system's code or undici's where there is one. */
export const whyBroken = (error: Error): string => ('code' in error ? String(error.code) : error.message);
