import { Failure } from '../std/failure.ts';

type SdkError = Error & { readonly $metadata?: { readonly httpStatusCode?: number } };

/**
 * Why a call by the SDK did not come to an answer of its service: something of ours failed, or `signal`, which is the
 * caller's, aborted. null: what the SDK threw says it.
 */
export function unanswered(trail: string, error: unknown, signal: AbortSignal): Failure | null {
  if (error instanceof Failure) {
    const isTold = error.message.startsWith(trail);
    return isTold ? error : new Failure(error.kind, `${trail}: ${error.message}`, error);
  }
  return signal.aborted ? new Failure('late', `${trail}: late: no answer in time`, error) : null;
}

/**
 * What the SDK threw: the service's code is its name. Without a status there was no answer. Below the first line of a
 * message are hints for whoever debugs the SDK.
 */
export function refusalIn(error: unknown) {
  const { name, message, $metadata } = error as SdkError;
  return { name, message: message.split('\n')[0]!, status: $metadata?.httpStatusCode };
}
