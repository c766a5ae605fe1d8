/** What a gateway is put through, and what that costs its processes. */
import { setTimeout as pause } from 'node:timers/promises';
import { openClient, type Answer, type Client, type Target } from './client.ts';
import { crowd, latency, requests, streams } from './plan.ts';
import { cpuUs } from './process.ts';

/** Groups of processes that are counted together. */
export type Groups = readonly (readonly number[])[];

/** Answers or events within the window, and the CPU time of each group for them, µs. */
export type Spent = { readonly units: number; readonly cost: readonly number[]; readonly failed: number };

type Lanes = { readonly lanes: number; readonly warmMs: number; readonly windowMs: number };
type Ask = (client: Client, number: number, count: (units: number) => void) => Promise<Answer>;

/** No two questions of a run are alike. */
let questions = 0;

/** Answers in one piece, on connections that are never idle. */
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

async function load(target: Target, groups: Groups, plan: Lanes, ask: Ask): Promise<Spent> {
  const client = openClient(target);
  let [units, failed, isOver] = [0, 0, false];
  const count = (more: number): void => void (units += more);
  const lane = async (): Promise<void> => {
    while (!isOver) if (!(await ask(client, questions++, count)).whole) failed++;
  };
  const lanes = Promise.all(Array.from({ length: plan.lanes }, lane));
  await pause(plan.warmMs);
  const [unitsBefore, before] = [units, groups.map(cpuUs)];
  await pause(plan.windowMs);
  const [unitsAfter, after] = [units, groups.map(cpuUs)];
  isOver = true;
  await lanes;
  await client.close();
  return { units: unitsAfter - unitsBefore, cost: after.map((us, at) => us - before[at]!), failed };
}

/** From asking to the first event of a stream, ms, by target. */
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
