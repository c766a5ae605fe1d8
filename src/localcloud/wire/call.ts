/**
 * One call to the local cloud, between the sockets (endpoint.ts) and the APIs (s3, ssm, sts, ec2, autoscaling).
 *
 * An API is a function from a proven, decoded call to an answer: it never sees a socket, so a test may drive it
 * without one, and every API gets signatures, faults, error shapes and `Expect: 100-continue` from one place.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Signing } from './sigv4.ts';

/** Who signed the call. `instanceId` is null for the operator: tools and tests that act on no instance's behalf. */
export type Caller = { readonly accessKeyId: string; readonly instanceId: string | null };

/** How an API wants its arguments and words its errors; `rest-xml` is S3, whose bodies are streamed. */
export type Dialect = 'rest-xml' | 'ec2' | 'query' | 'json';

export type Call = {
  readonly requestId: string;
  readonly caller: Caller;
  readonly signing: Signing;
  readonly method: string;
  /** As on the request line: still percent-encoded, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** The whole body in the dialects that fit in memory; empty in `rest-xml`. */
  readonly text: string;
  /** The body of a `rest-xml` call, read once; the first read is what answers `Expect: 100-continue`. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Aborted when the call is over: its answer has been sent, or the client has gone. */
  readonly signal: AbortSignal;
};

export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | AsyncIterable<Uint8Array>;
};

export type Api = {
  /** As the credential scope of a signature names it: this is how one port serves every API. */
  readonly name: 'ec2' | 's3' | 'ssm' | 'sts' | 'autoscaling';
  readonly dialect: Dialect;
  /** AWS's name of what the call asks for, e.g. `PutObject`; `Unknown` when it is none that this API knows.
   * Throws AwsError where the call cannot be read at all. */
  operation(call: Call): string;
  /** Throws AwsError for whatever AWS would refuse. */
  answer(call: Call): Promise<Answer>;
};
