/** How a member is, in three words of a table. */
import type { MemberStatus } from '../node/operations.ts';

/** The record of a dead one still says what it last did, which it does no more. */
export const conditionOf = ({ health, phase, engine }: MemberStatus): readonly [string, string, string] =>
  health === 'dead' ? [health, '-', '-'] : [health, phase, engine];
