/**
 * How soon V8 optimizes what runs often. By itself it waits for 400 calls of a function until it does so quickly, and for
 * 3,000 until it does so well. Most functions of a gateway are called once a request: at ten requests a second it would
 * serve for minutes as slowly as it ever does. Soon after its first requests this makes one cost a quarter less CPU, a
 * chunk an eighth, and takes no memory that shows. It waits for them because a node that has nothing to do pays for what
 * is optimized all the same: 15 MB and half as much CPU again, when V8 is told as it starts.
 *
 * All threads of the process go by it, from the next time that V8 counts the calls of a function.
 */
import { setFlagsFromString } from 'node:v8';

/** Some tests of a new node are no work yet. */
const asksMin = 30;
const flags = ['--invocation-count-for-maglev=100', '--invocation-count-for-turbofan=500'] as const;

/** The result is to be called for everything that the node asks for others. */
export function optimizeWithWork(setFlag: (flag: string) => void = setFlagsFromString): () => void {
  let asks = 0;
  return () => {
    asks += 1;
    if (asks === asksMin) flags.forEach((flag) => setFlag(flag));
  };
}
