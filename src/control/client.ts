/** The control socket from the other side: what the commands and the local cloud ask of a node. */
import { request, type IncomingMessage } from 'node:http';
import type { MemberExplanation } from '../node/explanation.ts';
import type { MemberStatus, NodeStatus } from '../node/operations.ts';
import { streamExplanation, type StreamExplanation } from '../node/stream-explanation.ts';
import type { DrainReason } from '../registry/record.ts';
import { Failure, type FailureKind } from '../std/failure.ts';
import {
  complaint,
  memberExplanation,
  memberList,
  nodeStatus,
  parsed,
  withinMsMax,
  type Parser,
} from './protocol.ts';
import { controlSocket } from './socket-file.ts';

/** A healthy node answers within a millisecond; a starved or stopped one is told apart by this. */
const answerMs = 5_000;
/** A thousand members of a kilobyte each. */
const answerBytesMax = 4 * 1_024 ** 2;

export type ControlClient = {
  status(): Promise<NodeStatus>;
  members(): Promise<readonly MemberStatus[]>;
  /** Failure `missing`: the node knows no such member. */
  explainMember(id: string): Promise<MemberExplanation>;
  /** Failure `missing`: nobody whom the node asked knows such a stream. */
  explainStream(id: string): Promise<StreamExplanation>;
  /** Starts a drain and resolves at once; null leaves its time to the node. */
  drain(reason: DrainReason, withinMs: number | null): Promise<NodeStatus>;
  /** Resolves when the node has left and stopped its engine. */
  leave(withinMs: number | null): Promise<NodeStatus>;
  isolate(on: boolean): Promise<NodeStatus>;
};

/**
 * Every call may fail: `unreachable`, no node runs behind the socket; `denied`, the socket belongs to another user;
 * `late`, it does not answer in time; `invalid`, it answers something else; or what the node itself refuses with.
 */
export function connectControl(dataDir: string): ControlClient {
  const path = controlSocket(dataDir);
  const ask = async <T>(schema: Parser<T>, asked: string, order?: Order): Promise<T> => {
    const { status, body } = await exchange(path, asked, order ?? { body: null, withinMs: 0 });
    if (status !== 200) throw refusal(body, `${asked}: status ${status}`);
    return parsed(schema, body, `${path}: ${asked}: answered in a form of another version`);
  };
  const order = (body: object, withinMs = 0): Order => ({ body, withinMs });
  return {
    status: () => ask(nodeStatus, 'GET /status'),
    members: () => ask(memberList, 'GET /members'),
    explainMember: (id) => ask(memberExplanation, 'POST /members/explain', order({ id })),
    explainStream: (id) => ask(streamExplanation, 'POST /streams/explain', order({ id })),
    drain: (reason, withinMs) => ask(nodeStatus, 'POST /drain', order({ reason, withinMs })),
    leave: (withinMs) => ask(nodeStatus, 'POST /leave', order({ withinMs }, withinMs ?? withinMsMax)),
    isolate: (on) => ask(nodeStatus, 'POST /faults/isolate', order({ on })),
  };
}

/** `withinMs`: what the order itself may take before it is answered. */
type Order = { readonly body: object | null; readonly withinMs: number };
type Answer = { readonly status: number; readonly body: unknown };

function refusal(body: unknown, fallback: string): Failure {
  const said = complaint.safeParse(body);
  if (!said.success) return new Failure('invalid', fallback);
  return new Failure(kindOf(said.data.error.kind), said.data.error.message);
}

const kinds: readonly FailureKind[] = ['missing', 'denied', 'busy', 'unreachable', 'late', 'invalid'];
const kindOf = (text: string): FailureKind => kinds.find((kind) => kind === text) ?? 'invalid';

async function exchange(socketPath: string, asked: string, { body, withinMs }: Order): Promise<Answer> {
  const [method = '', path = ''] = asked.split(' ');
  const signal = AbortSignal.timeout(withinMs + answerMs);
  const text = body === null ? '' : JSON.stringify(body);
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { 'content-length': Buffer.byteLength(text) };
      request({ socketPath, method, path, headers, agent: false, signal }, resolve)
        .once('error', reject)
        .end(text);
    });
    return { status: response.statusCode ?? 0, body: await readJson(response) };
  } catch (error) {
    throw failureOf(error, socketPath, signal);
  }
}

async function readJson(chunks: AsyncIterable<Buffer>): Promise<unknown> {
  const read: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw new Failure('invalid', `answer: more than ${answerBytesMax} bytes`);
    read.push(chunk);
  }
  return JSON.parse(Buffer.concat(read).toString('utf8'));
}

function failureOf(error: unknown, path: string, signal: AbortSignal): Failure {
  if (error instanceof Failure) return error;
  if (signal.aborted) return new Failure('late', `${path}: the node does not answer`, error);
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR')
    return new Failure('unreachable', `no node runs behind ${path}`, error);
  if (code === 'EACCES' || code === 'EPERM')
    return new Failure('denied', `${path}: belongs to another user`, error);
  if (error instanceof SyntaxError) return new Failure('invalid', `${path}: answered something else`, error);
  return new Failure('unreachable', `${path}: the node closed the connection`, error);
}
