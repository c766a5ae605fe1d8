/**
 * How an engine ends, and what those who are talking to it see: the part of vLLM that a supervisor and a gateway must
 * know best, and that no documentation tells. Every story has an engine of its own.
 */
import { chat, completion, get, post, tokensByChoice, usageIsExact } from './exchange.ts';
import { servedName, type EngineProcess, type Exit } from './engine-process.ts';
import { shapeOf, type Json } from './shape.ts';
import { ask, type Call } from './talk.ts';
import { until } from './until.ts';

export type Death = {
  readonly name: string;
  readonly flags: readonly string[];
  play(engine: EngineProcess): Promise<Json>;
};

/** Both engines make some 200 tokens a second here: answers that last longer than any of these stories watches. */
const longTokens = 3_900;
/** Answers of about five seconds. */
const shortTokens = 1_000;
/** Longer than anything that still would come, were it not silent. */
const silenceMs = 1_500;
const context = 4_096;

export const deaths: readonly Death[] = [
  { name: 'sigterm-under-load', flags: [], play: sigtermUnderLoad },
  { name: 'sigterm-idle', flags: [], play: sigtermIdle },
  { name: 'drain-in-time', flags: ['--shutdown-timeout=20'], play: drainInTime },
  { name: 'drain-too-late', flags: ['--shutdown-timeout=2'], play: drainTooLate },
  { name: 'sigkill-core', flags: [], play: sigkillCore },
  { name: 'sigkill-core-idle', flags: [], play: sigkillCoreIdle },
  { name: 'sigkill-server', flags: [], play: sigkillServer },
  { name: 'sigstop-core', flags: [], play: sigstopCore },
];

type Load = {
  readonly chat: Call;
  readonly text: Call;
  readonly whole: Call;
  readonly calls: readonly Call[];
};

/** Two streams and one whole answer under way. */
async function underLoad(engine: EngineProcess, maxTokens: number): Promise<Load> {
  const talk = engine.talk(context);
  const fields = { max_tokens: maxTokens, return_token_ids: true };
  const streamed = { ...fields, stream: true, stream_options: { include_usage: true } };
  const load = {
    chat: talk.call(chat(streamed)(talk)),
    text: talk.call(completion(streamed)(talk)),
    whole: talk.call(completion(fields)(talk)),
  };
  await until(
    async () => load.chat.sofar() !== '' && load.text.sofar() !== '' && (await running(engine)) === 3,
    10_000,
  );
  return { ...load, calls: Object.values(load) };
}

const running = (engine: EngineProcess): Promise<number> => metric(engine, 'num_requests_running');

async function metric(engine: EngineProcess, name: string): Promise<number> {
  const { body } = await ask(engine.socketPath, get('/metrics'), { waitMs: 2_000 });
  return Number(new RegExp(`^vllm:${name}\\{.*\\} (\\S+)$`, 'm').exec(body)?.[1] ?? Number.NaN);
}

const isRefused = async (engine: EngineProcess): Promise<boolean> =>
  (await ask(engine.socketPath, get('/health'), { waitMs: 1_000 })).end === 'refused';

/** Whether nothing more arrives on the calls for a while. */
async function areSilent(calls: readonly Call[]): Promise<boolean> {
  const size = (): number => calls.reduce((sum, one) => sum + one.sofar().length, 0);
  const before = size();
  return !(await until(() => size() !== before, silenceMs));
}

const told = (exit: Exit | null): Json => (exit === null ? 'still there' : (exit.signal ?? exit.code));

async function leftovers(engine: EngineProcess): Promise<Json> {
  const gone = await until(async () => (await engine.members()).length === 0, 10_000);
  return { processesGone: gone, socketFile: await engine.hasSocketFile() };
}

async function sigtermUnderLoad(engine: EngineProcess): Promise<Json> {
  const load = await underLoad(engine, longTokens);
  engine.signal('SIGTERM');
  const refuses = await until(() => isRefused(engine), 5_000);
  const ends = await endsAtTheStop(load.calls);
  const exit = told(await engine.exit(15_000));
  return { refuses, ends, exitOnceClientsLeft: exit, ...((await leftovers(engine)) as object) };
}

/**
 * What those get whom a stop cuts off is a race in vLLM, between the core's last word and its end: mostly nothing at
 * all until they leave; or all at once `abort`; or an error. Nobody gets a whole answer. They leave after a while.
 */
async function endsAtTheStop(calls: readonly Call[]): Promise<Json> {
  await until(() => areSilent(calls), 4_000);
  for (const one of calls) one.hangUp();
  const answers = await Promise.all(calls.map((one) => one.answer));
  const known = answers.every(
    ({ end, body }) =>
      end === 'silent' ||
      (end === 'complete' && /"finish_reason":"abort"|"type": ?"InternalServerError"/.test(body)),
  );
  return known ? 'silent, abort or error' : answers.map(({ end, body }) => `${end}: ${body.slice(-200)}`);
}

async function sigtermIdle(engine: EngineProcess): Promise<Json> {
  engine.signal('SIGTERM');
  return { exit: told(await engine.exit(10_000)), ...((await leftovers(engine)) as object) };
}

async function drainInTime(engine: EngineProcess): Promise<Json> {
  const load = await underLoad(engine, shortTokens);
  engine.signal('SIGTERM');
  const talk = engine.talk(context);
  const refused = async (): Promise<boolean> =>
    (await talk.ask(completion({ max_tokens: 1 })(talk))).status === 500;
  await until(refused, 5_000);
  const newWork: Record<string, Json> = {};
  for (const [name, what] of [
    ['health', get('/health')],
    ['models', get('/v1/models')],
    ['text', completion()(talk)],
    ['textStream', completion({ stream: true })(talk)],
    ['chat', chat()(talk)],
    ['tokenize', post('/tokenize', { prompt: 'hi' })],
    ['ids', completion({ prompt: [74, 75] })(talk)],
    ['idsStream', completion({ prompt: [74, 75], stream: true })(talk)],
  ] as const)
    newWork[name] = shapeOf(await talk.ask(what), servedName);
  const [chatAnswer, textAnswer, wholeAnswer] = await Promise.all(load.calls.map((one) => one.answer));
  return {
    newWork,
    chat: shapeOf(chatAnswer!, servedName),
    text: {
      ...shapeOf(textAnswer!, servedName),
      tokens: tokensByChoice(textAnswer!),
      facts: usageIsExact(textAnswer!),
    },
    whole: shapeOf(wholeAnswer!, servedName),
    exit: told(await engine.exit(20_000)),
    ...((await leftovers(engine)) as object),
  };
}

async function drainTooLate(engine: EngineProcess): Promise<Json> {
  const load = await underLoad(engine, longTokens);
  engine.signal('SIGTERM');
  const before = load.text.sofar().length;
  const goesOn = await until(() => load.text.sofar().length > before + 1_000, 2_000);
  const refuses = await until(() => isRefused(engine), 10_000);
  const ends = await endsAtTheStop(load.calls);
  const exit = told(await engine.exit(15_000));
  return { goesOn, refuses, ends, exitOnceClientsLeft: exit, ...((await leftovers(engine)) as object) };
}

async function sigkillCore(engine: EngineProcess): Promise<Json> {
  const load = await underLoad(engine, longTokens);
  process.kill(await engine.corePid(), 'SIGKILL');
  const [chatAnswer, textAnswer, wholeAnswer] = await Promise.all(load.calls.map((one) => one.answer));
  return {
    chat: shapeOf(chatAnswer!, servedName),
    text: shapeOf(textAnswer!, servedName),
    whole: shapeOf(wholeAnswer!, servedName),
    exit: told(await engine.exit(15_000)),
    ...((await leftovers(engine)) as object),
  };
}

async function sigkillCoreIdle(engine: EngineProcess): Promise<Json> {
  process.kill(await engine.corePid(), 'SIGKILL');
  return { exit: told(await engine.exit(15_000)), ...((await leftovers(engine)) as object) };
}

/** The children outlive the server, and a SIGTERM to the orphaned core ends them all. */
async function sigkillServer(engine: EngineProcess): Promise<Json> {
  const load = await underLoad(engine, longTokens);
  engine.signal('SIGKILL');
  const answers = await Promise.all(load.calls.map((one) => one.answer));
  const exit = told(await engine.exit(5_000));
  const coreStays = !(await until(async () => (await engine.members()).length === 0, 2_000));
  const core = await engine.corePid();
  const socketFile = await engine.hasSocketFile();
  process.kill(core, 'SIGTERM');
  const goneAfterSigterm = await until(async () => (await engine.members()).length === 0, 15_000);
  return { ends: answers.map((answer) => answer.end), exit, coreStays, socketFile, goneAfterSigterm };
}

/** A frozen core: the server looks well, the counters stand still, nothing is lost. */
async function sigstopCore(engine: EngineProcess): Promise<Json> {
  const load = await underLoad(engine, shortTokens);
  const core = await engine.corePid();
  process.kill(core, 'SIGSTOP');
  await until(() => areSilent(load.calls), 4_000);
  const counted = await metric(engine, 'generation_tokens_total');
  const silent = await areSilent(load.calls);
  const frozen = {
    silent,
    health: await engine.status('/health'),
    countersStandStill: (await metric(engine, 'generation_tokens_total')) === counted,
    running: await running(engine),
    newRequest: (await ask(engine.socketPath, completion()(engine.talk(context)), { waitMs: 1_000 })).end,
  };
  process.kill(core, 'SIGCONT');
  const [chatAnswer, textAnswer, wholeAnswer] = await Promise.all(load.calls.map((one) => one.answer));
  return {
    frozen,
    chat: shapeOf(chatAnswer!, servedName),
    text: { ...shapeOf(textAnswer!, servedName), tokens: tokensByChoice(textAnswer!) },
    whole: shapeOf(wholeAnswer!, servedName),
  };
}
