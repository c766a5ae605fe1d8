/**
 * What a node writes on its own instance. Tags are how peers find it and the proof that its peer id belongs here, so
 * they are written before anybody is dialled; at a graceful end they say so. A crash leaves them behind, which is
 * harmless: nobody answers there.
 */
import type { NodeRecord } from '../registry/record.ts';
import { backoffMs } from '../std/backoff.ts';
import { Failure } from '../std/failure.ts';
import { draw, type Rng } from '../std/random.ts';
import type { Report } from './facts.ts';
import { pause } from './pause.ts';
import type { Clock, Cloud } from './ports.ts';
import { within } from './within.ts';

type Means = {
  readonly clock: Clock;
  readonly cloud: Cloud;
  readonly report: Report;
  readonly rng: Rng;
  readonly stopping: AbortSignal;
};

/** EC2 may not know a young instance for minutes; between tries nothing is lost but time. */
const tryMs = 30_000;
/**
 * The account's tagging bucket, 100 at once and 10 a second, is shared by all nodes: a thousand that start together
 * must not come back together. Each try is a line in the log.
 */
const retry = { baseMs: 4_000, capMs: 24_000 };
const pauseMsMin = 500;
/** A policy that was just attached, or mended, holds everywhere after seconds or minutes: a denial is not for ever. */
const deniedMs = 300_000;
/** Gone from the instance after a goodbye; SynktiState and SynktiNodeId stay and say what happened. */
const membershipTags = ['SynktiCluster', 'SynktiRole', 'SynktiPeerId', 'SynktiAddress'];

type Tagged = { readonly cluster: string; readonly record: NodeRecord; readonly address: string | null };

/**
 * Tries until it is done or the node stops: an untagged node is no member. A denial ends the wait, for the tags may be
 * there from before; it is tried again by itself, now and then.
 */
export async function tagSelf(means: Means, node: Tagged): Promise<void> {
  const { clock, cloud, report, rng, stopping } = means;
  const { id, role, peerId } = node.record;
  const tags = {
    SynktiCluster: node.cluster,
    SynktiRole: role,
    SynktiPeerId: peerId,
    SynktiNodeId: id,
    SynktiState: 'joined',
    ...(node.address === null ? {} : { SynktiAddress: node.address }),
  };
  let dice = rng;
  for (let attempt = 0; !stopping.aborted; attempt++) {
    try {
      return await within({ clock, ms: tryMs, stopping }, (signal) => cloud.tagSelf(tags, signal));
    } catch (error) {
      report({ fact: 'node.untagged', why: String(error) });
      if (error instanceof Failure && error.kind === 'denied')
        return void tagLater({ ...means, rng: dice }, node);
      const [ms, next] = backoffMs({ attempt, ...retry }, dice);
      dice = next;
      await pause({ clock, stopping }, pauseMsMin + ms);
    }
  }
}

async function tagLater(means: Means, node: Tagged): Promise<void> {
  const [jitterMs, rng] = draw(means.rng, deniedMs);
  await pause(means, deniedMs + jitterMs);
  await tagSelf({ ...means, rng }, node);
}

/** The state first: it works where the policy forbids deleting tags, and peers filter on it. */
export async function untagSelf({
  ms,
  ...means
}: Omit<Means, 'rng'> & { readonly ms: number }): Promise<void> {
  const { cloud, report } = means;
  await within({ ...means, ms }, async (signal) => {
    await cloud.tagSelf({ SynktiState: 'left' }, signal);
    try {
      await cloud.untagSelf(membershipTags, signal);
    } catch (error) {
      if (!(error instanceof Failure && error.kind === 'denied')) throw error;
      report({ fact: 'node.untagged', why: error.message });
    }
  });
}
