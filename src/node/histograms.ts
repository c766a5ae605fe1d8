/**
 * How long things take, once: the facts that tell it, and the Prometheus histograms that it becomes. All of it is of
 * clients' requests at the node where they entered.
 *
 * Labels have few values: a route, a cause, or a model that the cluster serves, for a client may name any.
 */
import { facts, type FactName } from './facts.ts';

export type HistogramShape = {
  readonly help: string;
  readonly fact: FactName;
  /** The fact's field with the milliseconds; a fact without it is not counted. */
  readonly of: `${string}Ms` | 'ms';
  /** Only facts in which this field is true are counted. */
  readonly when?: string;
  /** The fact's fields that become labels, each with the values that it may have as far as they are known. */
  readonly labels: Readonly<Record<string, readonly string[]>>;
  /** Upper bounds, s. */
  readonly buckets: readonly number[];
};

/** From the shortest pause that a reader notices to the longest that a generation waits for another member. */
const pauses = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40];

export const histograms = {
  synkti_time_to_first_token_seconds: {
    help: 'From a request to the first token of its stream, by model, whichever API it came by.',
    fact: 'stream.begun',
    of: 'ttftMs',
    labels: { model: [] },
    buckets: [0.01, 0.025, ...pauses, 80],
  },
  synkti_stream_resume_seconds: {
    help: 'From a request that goes on with a stream to the first event that it lacked, by model.',
    fact: 'stream.resumed',
    of: 'waitMs',
    labels: { model: [] },
    buckets: pauses,
  },
  synkti_time_per_output_token_seconds: {
    help: 'Mean time between the tokens of a streamed completion, stalls included, by model.',
    fact: 'stream.finished',
    of: 'perTokenMs',
    labels: { model: [] },
    buckets: [0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.1, 0.15, 0.25, 0.5, 1],
  },
  synkti_request_duration_seconds: {
    help: "From a request's arrival to the end of its answer, by route.",
    fact: 'request.answered',
    of: 'ms',
    labels: { route: [] },
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600],
  },
  synkti_admission_wait_seconds: {
    help: 'How long requests waited for room until they were let in, by model.',
    fact: 'request.admitted',
    of: 'waitedMs',
    labels: { model: [] },
    buckets: [0.01, ...pauses],
  },
  synkti_move_stall_seconds: {
    help: 'How long a stream stood still in its middle because it moved to another node, by cause.',
    fact: 'stream.moved',
    of: 'stallMs',
    when: 'begun',
    labels: facts['stream.moved'].counter.labels,
    buckets: pauses,
  },
} as const satisfies Record<`synkti_${string}_seconds`, HistogramShape>;
