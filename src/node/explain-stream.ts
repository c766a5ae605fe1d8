/**
 * Asks the cluster about one stream. Its entry node knows all of it, and the members that hold its log know who that
 * is; both stand early in the order of rendezvous over its id, or are named by who does. In a cluster of up to sixty
 * everybody is asked, so that a stream without a log is found as well, and one by another of its names.
 */
import { ranked } from '../journal/rendezvous.ts';
import { Failure } from '../std/failure.ts';
import { memberId, type MemberId } from '../std/member-id.ts';
import type { AskMember } from './finding.ts';
import type { Journals } from './journals.ts';
import type { Stories } from './stories.ts';
import { streamSight, type StreamExplanation, type StreamSight } from './stream-explanation.ts';

/** Members that are asked at once, at most. */
const askedMax = 60;
/** For one of them, ms: who is well answers at once. */
const answerMs = 1_000;

export type StreamExplainer = {
  /** Failure `missing`: nobody who was asked knows it. */
  explain(id: string): Promise<StreamExplanation>;
  /** What we know, for another node. null: not a question that we understand. */
  answer(message: Uint8Array): Uint8Array | null;
};

export function openStreamExplainer(ports: {
  readonly self: MemberId;
  readonly stories: Stories;
  readonly journals: Pick<Journals, 'copyOf'>;
  /** Everybody else who may answer. */
  readonly others: () => readonly MemberId[];
  readonly ask: AskMember;
}): StreamExplainer {
  const { self, stories, journals, others, ask } = ports;
  const ours = (id: string): StreamSight => ({ stories: [...stories.find(id)], copy: journals.copyOf(id) });
  const sightOf = (member: MemberId, id: string): Promise<StreamSight | null> =>
    new Promise((resolve) => {
      ask(member, bytesOf({ id }), answerMs, (answer) =>
        resolve(answer && (streamSight.safeParse(jsonOf(answer)).data ?? null)),
      );
    });

  async function explain(id: string): Promise<StreamExplanation> {
    const seen = new Map<MemberId, StreamSight | null>([[self, ours(id)]]);
    const look = async (members: readonly MemberId[]): Promise<void> => {
      const sights = await Promise.all(members.map((member) => sightOf(member, id)));
      members.forEach((member, i) => seen.set(member, sights[i] ?? null));
    };
    const known = others();
    const order = ranked(
      id,
      known.map((member) => ({ id: member })),
    );
    await look(order.slice(0, askedMax).map((one) => one.id));
    const writers = [...seen.values()].flatMap((sight) => sight?.copy?.entry ?? []).map(memberId);
    await look([...new Set(writers)].filter((member) => known.includes(member) && !seen.has(member)));
    return together(id, seen);
  }

  return {
    explain,
    answer: (message) => {
      const { id } = jsonOf(message) as { readonly id?: unknown };
      return typeof id === 'string' ? bytesOf(ours(id)) : null;
    },
  };
}

function together(id: string, seen: ReadonlyMap<MemberId, StreamSight | null>): StreamExplanation {
  const sights = [...seen].flatMap(([member, sight]) => (sight === null ? [] : [{ member, ...sight }]));
  const stories = sights.flatMap((sight) => sight.stories).sort((a, b) => a.begunMs - b.begunMs);
  const copies = sights.flatMap(({ member, copy }) => (copy === null ? [] : [{ member, ...copy }]));
  const silent = [...seen].flatMap(([member, sight]) => (sight === null ? [member] : []));
  if (stories.length + copies.length === 0) {
    const quiet = silent.length === 0 ? '' : `, and ${silent.length} more did not answer`;
    const asked = sights.length === 1 ? '1 node' : `${sights.length} nodes`;
    throw new Failure('missing', `stream ${id}: not known to ${asked}${quiet}`);
  }
  return { id, stories, copies, silent };
}

const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** `{}`: not JSON. */
function jsonOf(bytes: Uint8Array): unknown {
  try {
    return (JSON.parse(new TextDecoder().decode(bytes)) as unknown) ?? {};
  } catch {
    return {}; // Of a version that says it in another way.
  }
}
