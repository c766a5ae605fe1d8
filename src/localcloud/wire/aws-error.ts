/** What AWS says when it says no, in the four shapes in which it says so. */
import type { Answer, Dialect } from './call.ts';
import { xml } from './xml.ts';

export class AwsError extends Error {
  override readonly name = 'AwsError';
  readonly status: number;
  readonly code: string;
  /** Further elements of an S3 error, e.g. `Key`, and headers that go with it. */
  readonly details: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    more: {
      readonly details?: Readonly<Record<string, string>>;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = more.details ?? {};
    this.headers = more.headers ?? {};
  }
}

export function refusal(error: AwsError, dialect: Dialect, requestId: string): Answer {
  const type = dialect === 'json' ? 'application/x-amz-json-1.1' : 'text/xml;charset=UTF-8';
  return {
    status: error.status,
    headers: { 'content-type': type, ...error.headers },
    body: error.status === 304 ? '' : worded(error, dialect, requestId),
  };
}

function worded(error: AwsError, dialect: Dialect, requestId: string): string {
  const said = { Code: error.code, Message: error.message };
  switch (dialect) {
    case 'json':
      return JSON.stringify({ __type: error.code, message: error.message });
    case 'rest-xml':
      return xml({ Error: { ...said, ...error.details, RequestId: requestId, HostId: requestId } });
    case 'ec2':
      return xml({ Response: { Errors: { Error: said }, RequestID: requestId } });
    case 'query': {
      const Type = error.status < 500 ? 'Sender' : 'Receiver';
      return xml({ ErrorResponse: { Error: { Type, ...said }, RequestId: requestId } });
    }
  }
}
