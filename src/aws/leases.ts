/**
 * Small texts in one bucket, written on condition (S3 User Guide, "Add preconditions to S3 operations").
 *
 * One attempt a call: the SDK's own retry of a write that had happened would be answered 412, as if another had won,
 * and whoever counts on when a write was sent must send it himself. The role needs s3:ListBucket too: without it S3
 * says 403 where it means that there is no such key.
 */
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { Document, LeaseStore, Written } from '../node/ports.ts';
import { Failure, type FailureKind } from '../std/failure.ts';
import type { RoleCredentials } from './credentials.ts';
import { refusalIn, unanswered } from './sdk-failure.ts';

type LeaseStoreOptions = {
  readonly bucket: string;
  readonly credentials: () => Promise<Pick<RoleCredentials, 'accessKeyId' | 'secretAccessKey'>>;
  /** null: the one of AWS in the region; otherwise addressed by path, as a local cloud or a gateway wants it. */
  readonly endpoint: string | null;
  readonly region: string;
};

type Condition = { readonly IfMatch: string } | { readonly IfNoneMatch: '*' };

const connectMs = 1_000;
/** The caller's signal is shorter; this ends what nobody waits for any more. */
const requestMs = 5_000;
/** A lease has 200 bytes, a manifest what its author puts into it. What is longer is none of ours. */
const bytesMax = 1_048_576;

export const openLeaseStore = (options: LeaseStoreOptions): S3LeaseStore => new S3LeaseStore(options);

class S3LeaseStore implements LeaseStore {
  readonly #options: LeaseStoreOptions;
  #client: S3Client | null = null;

  constructor(options: LeaseStoreOptions) {
    this.#options = options;
  }

  async read(Key: string, signal: AbortSignal): Promise<Document | null> {
    const trail = `read ${Key}`;
    try {
      const client = this.#open();
      const command = new GetObjectCommand({ Bucket: this.#options.bucket, Key });
      // S3 always tells the length; what does not tell it may have no end.
      const { Body, ETag, ContentLength = Infinity } = await client.send(command, { abortSignal: signal });
      if (ETag === undefined || ContentLength > bytesMax) {
        (Body as { destroy?(): void } | undefined)?.destroy?.();
        throw new Failure('invalid', `${trail}: invalid: ${ContentLength} bytes, ETag ${ETag}`);
      }
      return { body: (await Body?.transformToString()) ?? '', etag: ETag };
    } catch (error) {
      if (isS3Error(error, 404, 'NoSuchKey')) return null;
      throw s3Failure(trail, error, signal);
    }
  }

  create(key: string, body: string, signal: AbortSignal): Promise<Written> {
    return this.#put(`create ${key}`, { key, body, condition: { IfNoneMatch: '*' } }, signal);
  }

  replace(key: string, { body, etag }: Document, signal: AbortSignal): Promise<Written> {
    return this.#put(`replace ${key}`, { key, body, condition: { IfMatch: etag } }, signal);
  }

  close(): void {
    this.#client?.destroy();
  }

  async #put(
    trail: string,
    { key, body, condition }: { readonly key: string; readonly body: string; readonly condition: Condition },
    signal: AbortSignal,
  ): Promise<Written> {
    try {
      const client = this.#open();
      const command = new PutObjectCommand({
        ...{ Bucket: this.#options.bucket, Key: key, Body: body, ContentType: 'application/json' },
        ...condition,
      });
      const { ETag } = await client.send(command, { abortSignal: signal });
      if (ETag === undefined) throw new Failure('invalid', `${trail}: invalid: an answer without an ETag`);
      return { type: 'written', etag: ETag };
    } catch (error) {
      // A key that is not there cannot have the ETag that was asked for.
      if (isS3Error(error, 412) || isS3Error(error, 404, 'NoSuchKey')) return { type: 'unmet' };
      if (isS3Error(error, 409)) return { type: 'conflict' };
      throw s3Failure(trail, error, signal);
    }
  }

  #open(): S3Client {
    return (this.#client ??= this.#connect());
  }

  #connect(): S3Client {
    const { region, endpoint, credentials } = this.#options;
    return new S3Client({
      region,
      ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
      credentials,
      maxAttempts: 1,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: connectMs,
        requestTimeout: requestMs,
        throwOnRequestTimeout: true,
      },
    });
  }
}

function isS3Error(error: unknown, status: number, name?: string): boolean {
  const told = refusalIn(error);
  return told.status === status && (name === undefined || told.name === name);
}

function s3Failure(trail: string, error: unknown, signal: AbortSignal): Failure {
  const failure = unanswered(trail, error, signal);
  if (failure !== null) return failure;
  const { name, message, status } = refusalIn(error);
  const kind = kindOf(name, status);
  return new Failure(kind, `${trail}: ${kind}: ${name}${name === message ? '' : `: ${message}`}`, error);
}

/** Codes as in the S3 API reference, "Error responses". Without a status there was no answer. */
function kindOf(name: string, status: number | undefined): FailureKind {
  if (/^SlowDown$|Throttl|^ServiceUnavailable$|^TooManyRequests/.test(name) || status === 429) return 'busy';
  if (name === 'CredentialsProviderError' || status === 401 || status === 403) return 'denied';
  if (status === undefined || status >= 500) return 'unreachable';
  return status === 404 ? 'missing' : 'invalid';
}
