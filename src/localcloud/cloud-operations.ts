/** Carries out what control-operations.ts offers, on a datacenter and a table of faults. */
import type { Clock } from '../node/ports.ts';
import { Failure } from '../std/failure.ts';
import { wallTime } from '../std/time.ts';
import {
  requests,
  type Answer,
  type FaultView,
  type InstanceView,
  type Operate,
} from './control-operations.ts';
import type { OperationName, Order } from './control-operations.ts';
import { clear, order as orderFault, standing, type FaultTable, type StandingFault } from './faults.ts';
import { maintenanceEvent, type MaintenanceEvent } from './imds/metadata.ts';
import type { Datacenter } from './instances/datacenter.ts';
import type { ProcessSignal } from './instances/hosts.ts';
import { isHeld, type Instance } from './instances/instance.ts';
import { truth } from './instances/tags.ts';
import { isCondemned } from './interruptions.ts';

type Ground = {
  readonly datacenter: Datacenter;
  readonly faults: FaultTable;
  readonly maintenance: Map<string, readonly MaintenanceEvent[]>;
  readonly clock: Clock;
  imdsEndpoint(id: string): string | null;
};

type Table = { readonly [N in OperationName]: (order: Order<N>) => Answer<N> };

export function openOperations(ground: Ground): Operate {
  const table: Table = {
    instances: () =>
      [...ground.datacenter.fleet().instances.values()].map((instance) => view(ground, instance)),
    interrupt: (order) => interrupt(ground, order),
    rebalance: ({ instance }) =>
      onSpot(ground, instance, ({ id }) => ground.datacenter.interrupt({ type: 'recommend-rebalance', id })),
    kill: ({ instance, which }) =>
      onRunning(ground, instance, ({ id }) =>
        which === 'instance'
          ? ground.datacenter.order({ type: 'terminate', id, cause: 'hardware' })
          : ground.datacenter.order({ type: 'signal', id, part: which, signal: 'SIGKILL' }),
      ),
    freeze: (order) => signal(ground, order, 'SIGSTOP'),
    thaw: (order) => signal(ground, order, 'SIGCONT'),
    partition: ({ instance }) => isolate(ground, instance, true),
    heal: ({ instance }) => isolate(ground, instance, false),
    fault: (order) => fault(ground, order),
    faults: () => standing(ground.faults, ground.clock.now()).map((rule) => faultView(ground, rule)),
    'clear-fault': ({ fault: id }) => {
      if (!clear(ground.faults, id)) throw new Failure('missing', `fault ${id}: no such fault stands`);
      return {};
    },
    capacity: ({ desired }) => capacity(ground, desired),
    outage: ({ zone, on }) => outage(ground, zone, on),
    maintenance: (order) => maintain(ground, order),
  };
  return async (name, request, signal) => {
    signal.throwIfAborted();
    const parsed = requests[name].safeParse(request);
    if (!parsed.success) {
      const problems = parsed.error.issues.map(
        ({ path, message }) => `${path.join('.') || 'body'}: ${message}`,
      );
      throw new Failure('invalid', `${name}: ${problems.join('; ')}`);
    }
    return table[name](parsed.data as never);
  };
}

function interrupt(ground: Ground, { instance, ...order }: Order<'interrupt'>): InstanceView {
  return onSpot(ground, instance, ({ id }) => {
    if (isCondemned(ground.datacenter.interruptions(), id))
      throw new Failure('denied', `instance ${id}: is being interrupted already`);
    ground.datacenter.interrupt({ type: 'interrupt', id, order });
  });
}

function signal(ground: Ground, { instance, which }: Order<'freeze'>, name: ProcessSignal): InstanceView {
  return onRunning(ground, instance, ({ id }) =>
    ground.datacenter.order({ type: 'signal', id, part: which, signal: name }),
  );
}

const isolate = (ground: Ground, instance: string, on: boolean): InstanceView =>
  onRunning(ground, instance, ({ id }) => ground.datacenter.order({ type: 'isolate', id, on }));

function fault(ground: Ground, { times, forMs, instance, ...rule }: Order<'fault'>): FaultView {
  const instanceId = instance === null ? null : find(ground, instance).id;
  const now = ground.clock.now();
  const id = orderFault(ground.faults, { rule: { ...rule, instanceId }, times, forMs }, now);
  return faultView(
    ground,
    standing(ground.faults, now).find((stands) => stands.id === id)!,
  );
}

function capacity(ground: Ground, desired: number): Answer<'capacity'> {
  const { min, max } = ground.datacenter.group().settings;
  if (desired < min || desired > max)
    throw new Failure('invalid', `capacity: desired: ${desired} is not between ${min} and ${max}`);
  ground.datacenter.scale({ type: 'desired', count: desired });
  return { desired };
}

function outage({ datacenter }: Ground, zone: string, on: boolean): Answer<'outage'> {
  if (!datacenter.site.zones.includes(zone))
    throw new Failure('missing', `zone ${zone}: there are ${datacenter.site.zones.join(', ')}`);
  if (on) datacenter.outages.add(zone);
  else datacenter.outages.delete(zone);
  return { zones: [...datacenter.outages] };
}

/** Entries that are called off stay in the history, as EC2 keeps them; the last twenty. */
function maintain(ground: Ground, { instance, code, inMs, lastsMs }: Order<'maintenance'>): InstanceView {
  return onRunning(ground, instance, ({ id }) => {
    const events = ground.maintenance.get(id) ?? [];
    const notBefore = wallTime(ground.clock.wallNow() + inMs);
    const number = (events.length + 1).toString(16).padStart(2, '0');
    const next =
      code === 'none'
        ? events.map((event) => ({ ...event, state: 'canceled' as const }))
        : [
            ...events,
            maintenanceEvent({ id: `instance-event-${id.slice(2, 17)}${number}`, code, notBefore, lastsMs }),
          ];
    ground.maintenance.set(id, next.slice(-20));
  });
}

function onSpot(ground: Ground, ref: string, act: (instance: Instance) => void): InstanceView {
  return onRunning(ground, ref, (instance) => {
    if (instance.lifecycle !== 'spot')
      throw new Failure('denied', `instance ${instance.id}: is not a spot instance`);
    act(instance);
  });
}

function onRunning(ground: Ground, ref: string, act: (instance: Instance) => void): InstanceView {
  const instance = find(ground, ref);
  if (instance.phase !== 'running')
    throw new Failure('denied', `instance ${instance.id}: is ${instance.phase}, not running`);
  act(instance);
  return view(ground, ground.datacenter.fleet().instances.get(instance.id) ?? instance);
}

/** Live instances first: an index is taken over by a replacement, an id never is. */
function find({ datacenter }: Ground, ref: string): Instance {
  const all = [...datacenter.fleet().instances.values()];
  const held = all.filter(isHeld);
  const index = /^(\d{1,4})$/.exec(ref)?.[1];
  const byIndex = held.find((instance) => index !== undefined && instance.index === Number(index));
  const exact = all.find(({ id }) => id === ref) ?? byIndex;
  if (exact !== undefined) return exact;
  const begun = held.filter(({ id }) => ref.startsWith('i-') && id.startsWith(ref));
  if (begun.length === 1) return begun[0]!;
  const names = held.map(({ id, index: number }) => `${number} (${id})`).join(', ');
  const problem = begun.length > 1 ? 'more than one begins so' : 'no such instance';
  throw new Failure('missing', `instance ${ref}: ${problem}; there are: ${names === '' ? 'none' : names}`);
}

function view(ground: Ground, instance: Instance): InstanceView {
  const plan = ground.datacenter.interruptions().plans.get(instance.id);
  const stage = plan?.stage;
  return {
    id: instance.id,
    index: instance.index,
    zone: instance.zone,
    type: instance.type,
    lifecycle: instance.lifecycle,
    phase: instance.phase,
    cause: instance.cause,
    privateIp: instance.privateIp,
    imdsEndpoint: ground.imdsEndpoint(instance.id),
    launchedAt: instance.launchedAt,
    tags: truth(instance.tags),
    frozen: instance.frozen,
    isolated: instance.isolated,
    exited: instance.exited,
    rebalanceAt: plan?.rebalanceAt ?? null,
    notice: stage?.phase === 'noticed' ? { action: stage.action, time: stage.time } : null,
    groupState: ground.datacenter.group().members.get(instance.id)?.state ?? null,
  };
}

function faultView({ clock }: Ground, rule: StandingFault): FaultView {
  const { id, service, operation, instanceId, delayMs, fail, remaining, until } = rule;
  return {
    id,
    service,
    operation,
    instance: instanceId,
    delayMs,
    fail,
    remaining: remaining === Infinity ? null : remaining,
    remainingMs: until === Infinity ? null : Math.round(until - clock.now()),
  };
}
