/**
 * Asks the kernel of another machine whether a process listens there: one TCP SYN, and the connection is cut with RST
 * once it stands, so that neither side keeps a socket in TIME_WAIT and the process there has nothing to serve.
 *
 * A kernel that closes what a killed process had open comes to its listening socket last, and then resets what waits in its
 * accept queue. So whoever lets the connection stand hears of that in the same moment, and asks again.
 *
 *   SYN-ACK  answered   something holds the port, be it frozen: a stopped process loses no listener
 *   RST      refused    the kernel is up and nothing listens: the process is gone
 *   nothing  silent     within the deadline; or a router said that there is no such host
 *
 * The deadline counts from the SYN. An event loop that stood still runs its timers before it reads its sockets, so a
 * deadline that has passed looks once more at the socket before it is believed.
 *
 * A connection that was reset waits in the other side's accept queue until its process takes it, and a full queue
 * looks like a dead host: hence the bounds. What exceeds them waits its turn.
 */
import { connect } from 'node:net';
import type { PeerAddress, Probe } from '../node/ports.ts';
import { Failure } from '../std/failure.ts';
import { instant } from '../std/time.ts';
import { fullBucket, take } from '../std/token-bucket.ts';

/** A node observes at most eight members and asks two SYNs of each: this is all of them four times. */
const openMax = 64;
/** Sustained: half a listener's backlog of 1,024 in ten seconds, if all went to one frozen process. */
const perSecond = 50;
/** The last of them is asked in two and a half seconds; an answer later than that helps nobody. */
const waitingMax = 128;

type Outcome = Awaited<ReturnType<Probe>>;
type Patience = Parameters<Probe>[1];

/** Every other error is one of this machine: out of descriptors or of ports, a name that nobody resolves. */
const outcomes: Readonly<Record<string, Outcome>> = {
  ECONNREFUSED: 'refused',
  // Only a connection that stood can be reset: somebody listens.
  ECONNRESET: 'answered',
  EHOSTUNREACH: 'silent',
  ENETUNREACH: 'silent',
  EHOSTDOWN: 'silent',
  ETIMEDOUT: 'silent',
};

/** Its calls reject with a Failure when the question could not be put, which says nothing of the other side. */
export function openProbe(): Probe {
  const waiting: (() => void)[] = [];
  let open = 0;
  const allowance = fullBucket({ perSecond, burst: openMax }, instant(performance.now()));
  let timer: NodeJS.Timeout | null = null;

  function next(): void {
    while (waiting.length > 0 && open < openMax && take(allowance, 1, instant(performance.now()))) {
      open++;
      waiting.shift()!();
    }
    if (waiting.length === 0 || open >= openMax || timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      next();
    }, 1_000 / perSecond);
  }

  return async (address, patience) => {
    if (waiting.length >= waitingMax)
      throw new Failure('busy', `probe ${address.host}:${address.port}: busy: ${waitingMax} wait already`);
    await new Promise<void>((turn) => {
      waiting.push(turn);
      next();
    });
    try {
      return await ask(address, patience);
    } finally {
      open--;
      next();
    }
  };
}

function ask({ host, port }: PeerAddress, { ms, standMs }: Patience): Promise<Outcome> {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
  const socket = connect({ host, port, autoSelectFamily: false });
  let timer = setTimeout(() => setImmediate(forget), ms);
  function forget(): void {
    // Without a connection there is nothing to reset.
    if (socket.connecting) socket.destroy();
    resolve('silent');
  }
  function reset(): void {
    socket.resetAndDestroy();
    resolve('answered');
  }
  socket.once('connect', () => {
    clearTimeout(timer);
    if (standMs === 0) reset();
    else timer = setTimeout(reset, standMs);
  });
  socket.once('error', (error: NodeJS.ErrnoException) => {
    const { code = error.message } = error;
    if (code === 'ECONNRESET' && standMs > 0) return resolve(ask({ host, port }, { ms, standMs: 0 }));
    const outcome = outcomes[code];
    if (outcome !== undefined) resolve(outcome);
    else reject(new Failure('unreachable', `probe ${host}:${port}: unreachable: ${code}`, error));
  });
  return promise.finally(() => clearTimeout(timer));
}
