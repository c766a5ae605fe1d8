/**
 * Watches the instance metadata for signs that this instance is about to go (SPEC.md). Pure: it says what to read
 * when, and is told what came back; how to get through token expiry, 401s and 5xx is the reader's business.
 *
 * Remaining time is reckoned once, from the wall clock of the first successful read, and counted down on the
 * monotonic clock after that, so that a jump of the wall clock cannot move the end.
 */
import { unreachable } from '../std/assert.ts';
import { after, instant, never, type Instant, type WallTime } from '../std/time.ts';

export type Path = 'instance-action' | 'rebalance' | 'maintenance' | 'lifecycle';

export type Reading =
  | { readonly path: 'instance-action'; readonly action: string; readonly time: WallTime }
  | { readonly path: 'rebalance'; readonly noticeTime: WallTime }
  | { readonly path: 'maintenance'; readonly events: readonly Maintenance[] }
  | { readonly path: 'lifecycle'; readonly target: string };

export type Maintenance = { readonly code: string; readonly notBefore: WallTime; readonly active: boolean };

export type Event =
  | { readonly type: 'read'; readonly reading: Reading; readonly wallNow: WallTime }
  /** The service answered that there is nothing there. */
  | { readonly type: 'absent'; readonly path: Path }
  | { readonly type: 'failed'; readonly path: Path }
  | { readonly type: 'tick' };

export type Effect =
  /** Answer with `read`, `absent` or `failed`, within the reader's own deadline. */
  | { readonly type: 'read'; readonly path: Path }
  | {
      readonly type: 'leave';
      readonly reason: 'interruption' | 'lifecycle' | 'maintenance';
      readonly remainingMs: number;
    }
  | {
      readonly type: 'fact';
      readonly fact:
        | { readonly fact: 'interruption.noticed'; readonly action: string; readonly remainingMs: number }
        | { readonly fact: 'rebalance.recommended' }
        | { readonly fact: 'lifecycle.ending'; readonly target: string }
        | { readonly fact: 'maintenance.near'; readonly code: string; readonly remainingMs: number }
        | { readonly fact: 'imds.blind'; readonly sinceMs: number }
        | { readonly fact: 'imds.sighted'; readonly blindMs: number };
    };

const periodMs: Readonly<Record<Path, number>> = {
  'instance-action': 500,
  rebalance: 5_000,
  maintenance: 5_000,
  lifecycle: 5_000,
};
/** AWS gives two minutes; a stated time further away is not believed. */
const noticeMsMax = 120_000;
/** An Auto Scaling termination hook states no time; AWS advises heartbeats of 30 to 120 s. */
const lifecycleMs = 100_000;
const maintenanceLeadMs = 300_000;
const blindAfterMs = 15_000;

export type State = {
  readonly nextAt: Map<Path, Instant>;
  readonly reading: Set<Path>;
  /** What was reported already, by kind. */
  readonly told: Map<Path, string>;
  /** When reads of the notice began to fail; null: the last one succeeded. */
  failingSince: Instant | null;
  blind: boolean;
};

type Step = readonly [State, readonly Effect[]];

/** The slow paths are spread over the first second, so that four reads never fall together. */
export const init = (now: Instant): State => ({
  nextAt: new Map([
    ['instance-action', now],
    ['rebalance', after(now, 250)],
    ['maintenance', after(now, 500)],
    ['lifecycle', after(now, 750)],
  ]),
  reading: new Set(),
  told: new Map(),
  failingSince: null,
  blind: false,
});

export function step(state: State, event: Event, now: Instant): Step {
  switch (event.type) {
    case 'tick':
      return [state, due(state, now)];
    case 'failed':
      state.reading.delete(event.path);
      return [state, event.path === 'instance-action' ? missed(state, now) : []];
    case 'absent':
      state.reading.delete(event.path);
      return [state, event.path === 'instance-action' ? sighted(state, now) : []];
    case 'read': {
      const { reading, wallNow } = event;
      state.reading.delete(reading.path);
      const seen = reading.path === 'instance-action' ? sighted(state, now) : [];
      return [state, [...seen, ...judge(state, reading, wallNow)]];
    }
    default:
      return unreachable(event);
  }
}

export function deadline(state: State): Instant {
  let at: Instant = never;
  for (const [path, next] of state.nextAt) if (!state.reading.has(path)) at = instant(Math.min(at, next));
  return at;
}

function due(state: State, now: Instant): Effect[] {
  const effects: Effect[] = [];
  for (const [path, next] of state.nextAt) {
    if (now < next || state.reading.has(path)) continue;
    state.reading.add(path);
    state.nextAt.set(path, after(now, periodMs[path]));
    effects.push({ type: 'read', path });
  }
  return effects;
}

function judge(state: State, reading: Reading, wallNow: WallTime): Effect[] {
  switch (reading.path) {
    case 'instance-action': {
      const { action, time } = reading;
      if (!isNews(state, reading.path, `${action} ${time}`)) return [];
      const left = Math.max(0, Math.min(noticeMsMax, time - wallNow));
      const remainingMs = action === 'hibernate' ? 0 : left;
      return [
        { type: 'fact', fact: { fact: 'interruption.noticed', action, remainingMs } },
        { type: 'leave', reason: 'interruption', remainingMs },
      ];
    }
    case 'rebalance':
      if (!isNews(state, reading.path, `${reading.noticeTime}`)) return [];
      return [{ type: 'fact', fact: { fact: 'rebalance.recommended' } }];
    case 'lifecycle': {
      const { target } = reading;
      if (!isNews(state, reading.path, target) || target !== 'Terminated') return [];
      return [
        { type: 'fact', fact: { fact: 'lifecycle.ending', target } },
        { type: 'leave', reason: 'lifecycle', remainingMs: lifecycleMs },
      ];
    }
    case 'maintenance':
      return near(state, reading.events, wallNow);
    default:
      return unreachable(reading);
  }
}

function near(state: State, events: readonly Maintenance[], wallNow: WallTime): Effect[] {
  const soon = events.filter((event) => event.active && event.notBefore - wallNow <= maintenanceLeadMs);
  const [first] = soon.toSorted((a, b) => a.notBefore - b.notBefore);
  if (first === undefined || !isNews(state, 'maintenance', `${first.code} ${first.notBefore}`)) return [];
  const remainingMs = Math.max(0, first.notBefore - wallNow);
  return [
    { type: 'fact', fact: { fact: 'maintenance.near', code: first.code, remainingMs } },
    { type: 'leave', reason: 'maintenance', remainingMs },
  ];
}

function isNews(state: State, path: Path, what: string): boolean {
  if (state.told.get(path) === what) return false;
  state.told.set(path, what);
  return true;
}

function missed(state: State, now: Instant): Effect[] {
  state.failingSince ??= now;
  const sinceMs = now - state.failingSince;
  if (state.blind || sinceMs < blindAfterMs) return [];
  state.blind = true;
  return [{ type: 'fact', fact: { fact: 'imds.blind', sinceMs } }];
}

function sighted(state: State, now: Instant): Effect[] {
  const since = state.failingSince;
  const wasBlind = state.blind;
  state.failingSince = null;
  state.blind = false;
  return wasBlind && since !== null
    ? [{ type: 'fact', fact: { fact: 'imds.sighted', blindMs: now - since } }]
    : [];
}
