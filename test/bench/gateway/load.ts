/** What a gateway is put through, and what that costs its processes. */
import { setTimeout as pause } from 'node:timers/promises';
import { openClient, type Answer, type Client, type Target } from './client.ts';
import { crowd, latency, requests, streams, warming } from './plan.ts';
import { cpuUs } from './process.ts';

/** Groups of processes that are counted together. */
export type Groups = readonly (readonly number[])[];

/** Answers or events within the window, and the CPU time of each group for them, µs. */
export type Spent = {
  readonly units: number;
  /** Answers that ended, a second. A gateway may tell two tokens in one event, so events do not tell the load. */
  readonly answersPerSecond: number;
  readonly cost: readonly number[];
  readonly failed: number;
  /** Too little of what was offered was carried, or answers failed: not the load that the others were under. */
  readonly uneven: boolean;
  readonly perSecond: number;
};

type Load = {
  readonly perSecond: number;
  readonly warmMs: number;
  readonly windowMs: number;
};
type Ask = (client: Client, number: number, count: (units: number) => void) => Promise<Answer>;

/** No two questions of a run are alike. */
let questions = 0;

/** Of what is offered. A machine that has something else to do for a second is given another window. */
const carriedMin = 0.9;
const windowsMax = 3;
/** For the answers that have begun by the end of a window, ms; what takes longer is broken off and not counted. */
const restMs = 5_000;

/** Answers in one piece. */
export const askWhole = (target: Target, groups: Groups): Promise<Spent> =>
  load(target, groups, requests, async (client, number, count) => {
    const answer = await client.ask({ number, tokens: requests.tokens, stream: false });
    count(1);
    return answer;
  });

/** Events of streams. */
export const askStreams = (target: Target, groups: Groups): Promise<Spent> =>
  load(target, groups, streams, (client, number, count) =>
    client.ask({ number, tokens: streams.tokens, stream: true }, count),
  );

/** Until it is as fast as it gets. */
export async function warmUp(target: Target): Promise<void> {
  const time = { warmMs: 0, windowMs: warming.ms };
  await Promise.all([
    spend(target, [], { ...time, perSecond: warming.requestsPerSecond }, (client, number) =>
      client.ask({ number, tokens: requests.tokens, stream: false }),
    ),
    spend(target, [], { ...time, perSecond: warming.streamsPerSecond }, (client, number) =>
      client.ask({ number, tokens: streams.tokens, stream: true }),
    ),
  ]);
}

/** As many a second for every gateway, however long each takes: what is compared has had the same to do. */
async function load(target: Target, groups: Groups, plan: Load, ask: Ask): Promise<Spent> {
  const { perSecond: offered } = plan;
  for (let window = 1; ; window++) {
    const spent = await spend(target, groups, plan, ask);
    const uneven = spent.answersPerSecond < carriedMin * offered || spent.failed > 0;
    if (!uneven || window === windowsMax) return { ...spent, uneven };
  }
}

async function spend(target: Target, groups: Groups, plan: Load, ask: Ask): Promise<Omit<Spent, 'uneven'>> {
  const client = openClient(target);
  let [units, ended, failed, isOver] = [0, 0, 0, false];
  const count = (more: number): void => void (units += more);
  const begin = async (): Promise<void> => {
    if (!(await ask(client, questions++, count)).whole) failed++;
    ended++;
  };
  const beginAll = async (): Promise<void> => {
    const answers: Promise<void>[] = [];
    const begunAt = performance.now();
    while (!isOver) {
      const due = ((performance.now() - begunAt) * plan.perSecond) / 1_000;
      while (answers.length < due) answers.push(begin());
      await pause(1);
    }
    await Promise.all(answers);
  };
  const answers = beginAll();
  await pause(plan.warmMs);
  const [begunAt, unitsBefore, endedBefore] = [performance.now(), units, ended];
  const before = groups.map(cpuUs);
  await pause(plan.windowMs);
  const [seconds, unitsAfter, endedAfter] = [(performance.now() - begunAt) / 1_000, units, ended];
  const after = groups.map(cpuUs);
  const failedAfter = failed;
  isOver = true;
  await Promise.race([answers, pause(restMs)]);
  await client.close();
  await answers;
  const carried = unitsAfter - unitsBefore;
  return {
    units: carried,
    cost: after.map((us, at) => us - before[at]!),
    failed: failedAfter,
    perSecond: carried / seconds,
    answersPerSecond: (endedAfter - endedBefore) / seconds,
  };
}

/** From asking to the first token of a stream, ms, by target. */
export async function askInTurn(targets: readonly Target[]): Promise<readonly (readonly number[])[]> {
  const clients = targets.map(openClient);
  const under: Promise<number>[][] = targets.map(() => []);
  for (let round = 0; round < latency.warm + latency.each; round++)
    for (const [at, client] of clients.entries()) {
      const answer = client.ask({ number: questions++, tokens: 1, stream: true });
      const first = answer.then(({ whole, firstMs }) => (whole ? firstMs : Infinity));
      if (round >= latency.warm) under[at]!.push(first);
      await pause(latency.everyMs);
    }
  const times = await Promise.all(under.map((answers) => Promise.all(answers)));
  await Promise.all(clients.map((client) => client.close()));
  return times;
}

/** Calls `look` while a thousand streams run, and ends them. Rejects when they do not come to run. */
export async function withCrowd<T>(target: Target, look: () => Promise<T>): Promise<T> {
  const client = openClient(target);
  let [running, ended] = [0, 0];
  const answers = Array.from({ length: crowd.streams }, () => {
    let begun = false;
    const onEvents = (): void => {
      if (!begun) running++;
      begun = true;
    };
    const question = { number: questions++, tokens: crowd.tokens, stream: true };
    return client.ask(question, onEvents).then(() => void ended++);
  });
  const late = performance.now() + crowd.openMs;
  while (running < crowd.streams && ended === 0 && performance.now() < late) await pause(100);
  await pause(crowd.holdMs);
  const found = await look();
  const [ran, lost] = [running, ended];
  await client.close();
  await Promise.all(answers);
  if (ran === crowd.streams && lost === 0) return found;
  throw new Error(`${target.url}: ${ran} of ${crowd.streams} streams ran, ${lost} ended early`);
}
