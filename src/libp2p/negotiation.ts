/**
 * What is answered while a peer still says which protocol it wants: multistream-select answers each question, of two
 * bytes at least, and without a pause, so that a stranger's single packet would hold a thread for a second.
 */
import type { MessageStream } from '@libp2p/interface';

/** Ours takes two: the protocol that protocols are chosen by, and the one that is chosen. */
const answersMax = 4;

export function boundAnswers(stream: MessageStream, isSettled: () => boolean): void {
  const { send } = stream;
  let answers = 0;
  stream.send = (data) => {
    if (isSettled()) stream.send = send;
    else if (++answers > answersMax) throw new Error('asks for too many protocols');
    return send.call(stream, data);
  };
}
