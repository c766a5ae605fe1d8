/**
 * How long this process stood still. Its nodes run beside it on the same machine: where a machine that is shared, or
 * that pauses, kept a timer from us, it kept the nodes from their work, and no promise in wall time can count that.
 */

const tickMs = 10;
/** What comes less late than this may be late for our own work. */
const leastMs = 30;

export type Stalls = {
  /** All of them together since the watch began, ms. */
  totalMs(): number;
  stop(): void;
};

export function watchStalls(): Stalls {
  let [total, tickedAt] = [0, performance.now()];
  const look = (): number => {
    const lateMs = performance.now() - tickedAt - tickMs;
    return lateMs < leastMs ? total : total + lateMs;
  };
  const timer = setInterval(() => {
    total = look();
    tickedAt = performance.now();
  }, tickMs);
  return {
    // A stall may have ended just now, with its tick still to come.
    totalMs: () => Math.round(look()),
    stop: () => clearInterval(timer),
  };
}
