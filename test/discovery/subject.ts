import * as discovery from '../../src/discovery/discovery.ts';
import { init, type Listing, type State } from '../../src/discovery/state.ts';
import type { Effect, Entry, Event, Listed } from '../../src/discovery/events.ts';
import { memberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';

export const listed = (id: string, change: Partial<Listed> = {}): Listed => ({
  id: memberId(id),
  peerId: `peer-${id}`,
  address: { host: `host-${id}`, port: 4001 },
  zone: 'a',
  role: 'worker',
  left: false,
  ...change,
});
export const entry = (id: string, change: Partial<Entry> = {}): Entry => {
  const { left: _, ...rest } = listed(id);
  return { ...rest, peerId: `peer-${id}`, address: { host: `host-${id}`, port: 4001 }, ...change };
};
export const self = listed('self');
export const epochMs = 30_000;

/** One machine by hand: time passes only here. */
export class Subject {
  now = instant(0);
  state: State;
  /** All that it ever asked for. */
  readonly effects: Effect[] = [];

  constructor(listing: Listing = 'shared') {
    const options = {
      selfId: self.id,
      selfPeerId: 'peer-self',
      listing,
      discoveryMs: epochMs,
      epochOffsetMs: 0,
    };
    this.state = init(options, { seed: 1 }, this.now);
  }

  deliver(event: Event): readonly Effect[] {
    const [state, effects] = discovery.step(this.state, event, this.now);
    this.state = state;
    this.effects.push(...effects);
    return effects;
  }

  /** Lets time pass up to the next look. */
  untilLook(): readonly Effect[] {
    for (let i = 0; i < 1_000; i++) {
      this.now = instant(Math.max(this.now, discovery.deadline(this.state)));
      const effects = this.deliver({ type: 'tick' });
      if (effects.some(({ type }) => type === 'look')) return effects;
    }
    throw new Error('it never looks');
  }

  /** The next look, answered with these. */
  look(...others: Listed[]): readonly Effect[] {
    this.untilLook();
    return this.deliver({ type: 'looked', listed: [self, ...others] });
  }

  vouch(by: string, ...entries: Entry[]): readonly Effect[] {
    return this.deliver({ type: 'vouched', by: memberId(by), entries });
  }

  remembered(ageMs: number, ...entries: Entry[]): readonly Effect[] {
    return this.deliver({ type: 'remembered', entries, ageMs });
  }

  judged(live: boolean, ...ids: string[]): void {
    for (const id of ids) this.deliver({ type: 'judged', id: memberId(id), live, left: false });
  }

  bound(): string[] {
    return [...this.state.bindings.members.keys()];
  }
}

export const among = (...ids: string[]): Subject => {
  const subject = new Subject();
  subject.look(...ids.map((id) => listed(id)));
  return subject;
};
