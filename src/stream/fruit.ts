/**
 * Whether moving an answer on leads anywhere. A leg bears fruit by a token that is new to the answer. One that says
 * again what the client has is alive too, as long as it comes further than those before it; whoever has said all of it
 * and then nothing new had its chance. Everything else is a move in vain, and the third engine that a request breaks is
 * the last.
 */
import { caughtUpOf, safeOf } from './carrier.ts';
import type { State } from './state.ts';

/** Moves in a row that bring no new token. */
const fruitlessMovesMax = 2;
/** Engines that came further than those before them in what the client has, and were lost on the way: bad luck so often. */
const catchingUpMax = 8;

/** What the leg that is lost now was good for. The first one of all was no move. */
export function weighLeg(state: State): void {
  if (noteFruit(state)) return;
  if (cameFurther(state)) state.fruitlessMoves = 0;
  else if (state.losses > 0) state.fruitlessMoves += 1;
}

/** Whether it brought a new token, with which every count begins again. */
export function noteFruit(state: State): boolean {
  if (safeOf(state.carrier) <= state.carried) return false;
  state.fruitlessMoves = 0;
  state.caughtUp = { to: 0, legs: 0 };
  state.avoid = [];
  state.rests = new Map();
  return true;
}

export const isInVain = ({ fruitlessMoves }: State): boolean => fruitlessMoves >= fruitlessMovesMax;

function cameFurther(state: State): boolean {
  const to = caughtUpOf(state.carrier);
  const { caughtUp } = state;
  if (to === null || to <= caughtUp.to || caughtUp.legs >= catchingUpMax) return false;
  state.caughtUp = { to, legs: caughtUp.legs + 1 };
  return true;
}
