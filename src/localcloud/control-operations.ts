/**
 * What an operator or a test may do to the local cloud: the contract between the control server, its client and
 * whoever holds the cloud itself. Every time is in milliseconds; `…At` and `time` are epoch milliseconds.
 */
import { z } from 'zod';

/** An instance by its id, the unique beginning of its id or its index (`2`), which counts from 0. */
const instance = z.string().min(1).max(64);
const ms = z.int().min(0).max(86_400_000);
const part = z.enum(['instance', 'daemon', 'engine']).default('instance');
/** A name or a pattern with `*` and `?`. */
const pattern = z.string().min(1).max(200);

/** EC2 gives two minutes; hibernation begins with its notice. */
const noticeMsUsual = 120_000;

const one = z.strictObject({ instance });
const parts = z.strictObject({ instance, which: part });

export const requests = {
  instances: z.strictObject({}),
  interrupt: z
    .strictObject({
      instance,
      action: z.enum(['terminate', 'stop', 'hibernate']).default('terminate'),
      /** 0: it is reclaimed without notice. Left out: two minutes; hibernation: at once. */
      noticeMs: ms.optional(),
      /** A rebalance recommendation now, the notice this much later. */
      rebalanceFirstMs: ms.nullable().default(null),
      /** false: the deadline passes and nothing happens, as when EC2 fails to terminate. */
      reclaims: z.boolean().default(true),
    })
    .transform(({ noticeMs, ...order }) => ({
      ...order,
      noticeMs: noticeMs ?? (order.action === 'hibernate' ? 0 : noticeMsUsual),
    }))
    .refine(({ noticeMs, reclaims }) => noticeMs > 0 || reclaims, {
      message: 'neither a notice nor a reclaim: nothing would happen',
      path: ['noticeMs'],
    }),
  rebalance: one,
  kill: parts,
  freeze: parts,
  thaw: parts,
  partition: one,
  heal: one,
  fault: z
    .strictObject({
      service: z.enum(['*', 'imds', 'ec2', 's3', 'ssm', 'sts', 'autoscaling']),
      /** The API's action, or below `imds` the path after /latest/. */
      operation: pattern.default('*'),
      /** Only calls of this instance; null: of anyone. */
      instance: instance.nullable().default(null),
      delayMs: ms.default(0),
      fail: z
        .union([
          z.literal('drop'),
          z.literal(400),
          z.literal(401),
          z.literal(403),
          z.literal(404),
          z.literal(409),
          z.literal(429),
          z.literal(500),
          z.literal(502),
          z.literal(503),
          z.literal(504),
        ])
        .nullable()
        .default(null),
      /** Calls and time after which it is over; null: not by that. */
      times: z.int().min(1).max(1_000_000).nullable().default(null),
      forMs: ms.nullable().default(null),
    })
    .refine(({ delayMs, fail }) => delayMs > 0 || fail !== null, {
      message: 'neither a delay nor a failure: nothing would happen',
      path: ['fail'],
    }),
  faults: z.strictObject({}),
  /** null: all of them. */
  'clear-fault': z.strictObject({ fault: z.string().min(1).max(64).nullable().default(null) }),
  capacity: z.strictObject({ desired: z.int().min(0).max(1_000) }),
  /** While it is on, the zone takes no launches and unfiltered Describe calls fail. */
  outage: z.strictObject({ zone: z.string().min(1).max(64), on: z.boolean() }),
  maintenance: z.strictObject({
    instance,
    /** `none` calls off whatever is scheduled. */
    code: z.enum([
      'instance-reboot',
      'system-reboot',
      'system-maintenance',
      'instance-retirement',
      'instance-stop',
      'none',
    ]),
    inMs: ms.default(3_600_000),
    lastsMs: ms.default(7_200_000),
  }),
} as const;

export type InstanceView = {
  readonly id: string;
  readonly index: number;
  readonly zone: string;
  readonly type: string;
  readonly lifecycle: 'spot' | 'on-demand';
  readonly phase: 'pending' | 'running' | 'shutting-down' | 'terminated' | 'stopping' | 'stopped';
  /** Why it ended or ends; null while it does not. */
  readonly cause: string | null;
  readonly privateIp: string;
  /** null until it has booted, and again when it is gone. */
  readonly imdsEndpoint: string | null;
  readonly launchedAt: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly frozen: readonly ('instance' | 'daemon' | 'engine')[];
  readonly isolated: boolean;
  /** The daemon ended by itself. */
  readonly exited: boolean;
  readonly rebalanceAt: number | null;
  readonly notice: { readonly action: string; readonly time: number } | null;
  /** Its state in the Auto Scaling group; null: in none. */
  readonly groupState: string | null;
};

export type FaultView = {
  readonly id: string;
  readonly service: string;
  readonly operation: string;
  readonly instance: string | null;
  readonly delayMs: number;
  readonly fail: string | number | null;
  /** null: without that limit. */
  readonly remaining: number | null;
  readonly remainingMs: number | null;
};

type Answers = {
  readonly instances: readonly InstanceView[];
  readonly faults: readonly FaultView[];
  readonly fault: FaultView;
  readonly 'clear-fault': Record<string, never>;
  readonly capacity: { readonly desired: number };
  readonly outage: { readonly zones: readonly string[] };
};

export type OperationName = keyof typeof requests;
/** As it is asked: what has a default may be left out. */
export type Request<N extends OperationName> = z.input<(typeof requests)[N]>;
/** As it is carried out: every default filled in. */
export type Order<N extends OperationName> = z.output<(typeof requests)[N]>;
/** What is done to one instance answers with that instance as it is then. */
export type Answer<N extends OperationName> = N extends keyof Answers ? Answers[N] : InstanceView;

/**
 * Does one thing. Failure `invalid`: the request makes no sense; `missing`: no such instance, zone or fault; `denied`:
 * not in the state that it is in. In each case nothing was changed.
 */
export type Operate = <N extends OperationName>(
  name: N,
  request: Request<N>,
  signal: AbortSignal,
) => Promise<Answer<N>>;

export const isOperationName = (name: string): name is OperationName => Object.hasOwn(requests, name);
