/** A node's request path, broken on purpose in one place. */
import type { Journals } from '../../../src/node/journals.ts';
import type { OpenLeg } from '../../../src/node/leg.ts';
import type { Node } from '../../../src/node/node.ts';
import type { ClientEnd } from '../../../src/node/client-end.ts';
import type { ServedModel, Serving, ServingMember } from '../../../src/node/serving.ts';
import { instant } from '../../../src/std/time.ts';
import { start, type Place } from '../../../src/stream/mark.ts';
import type { Sabotage } from '../sabotage.ts';

/** One event in so many is heard twice. */
const echoEvery = 50;

export function sabotagedLegs(openLeg: OpenLeg, sabotage: Sabotage | null): OpenLeg {
  let heard = 0;
  if (sabotage === 'token-twice')
    return (to, request, ears) =>
      openLeg(to, request, {
        load: (load) => ears.load(load),
        news: (news) => {
          ears.news(news);
          if (news.type === 'item' && ++heard % echoEvery === 0) ears.news(news);
        },
      });
  if (sabotage !== 'one-engine') return openLeg;
  const asked = new Set<string>();
  return (to, request, ears) => {
    const id = to.headers['x-request-id'] ?? '';
    if (asked.has(id)) return null;
    asked.add(id);
    return openLeg(to, request, ears);
  };
}

export function sabotagedServing(node: Node, sabotage: Sabotage | null): Serving {
  const { serving } = node;
  if (sabotage === 'blind-routing') {
    const blind = (model: ServedModel): ServedModel => ({ ...model, ready: everybody(node, model.ready) });
    return {
      ...plain(serving),
      models: () => serving.models().map(blind),
      model: (id) => {
        const model = serving.model(id);
        return model && blind(model);
      },
    };
  }
  if (sabotage === 'deaf-to-drains')
    return {
      ...plain(serving),
      onMove: (listener) =>
        serving.onMove((member, why) => {
          if (why !== 'drain') listener(member, why);
        }),
    };
  if (sabotage === 'hasty')
    return { ...plain(serving), onRelayEnd: (listener) => serving.onRelayEnd(() => listener(instant(0))) };
  if (sabotage === 'leaky')
    return {
      ...plain(serving),
      entered: () => {
        serving.entered();
        return () => {};
      },
    };
  return serving;
}

export function sabotagedJournals(journals: Journals, sabotage: Sabotage | null): Journals {
  if (sabotage === 'forgetful')
    return {
      ...plainJournals(journals),
      find: (_id, _isEnough, tell) => {
        tell(null);
        return () => {};
      },
    };
  if (sabotage === 'hoarder')
    return {
      ...plainJournals(journals),
      open: (...opened) => ({ ...journals.open(...opened), end: () => {} }),
    };
  return journals;
}

/** Where a client says that it is, as a node takes it. */
export const sabotagedPlace = (place: Place | null, sabotage: Sabotage | null): Place | null =>
  sabotage === 'begins-again' && place !== null ? { ...place, mark: start } : place;

/** The way back to a client that goes on with its answer; `place`: from where on, null: it is new. */
export const sabotagedClient = (
  client: ClientEnd,
  place: Place | null,
  sabotage: Sabotage | null,
): ClientEnd =>
  sabotage === 'tongue-tied' && place !== null ? { ...client, send: () => {}, close: () => {} } : client;

/** Whoever was heard of is as good as any. */
function everybody({ cluster }: Node, ready: readonly ServingMember[]): readonly ServingMember[] {
  const others = cluster.members().filter(({ id }) => ready.every(({ member }) => member !== id));
  return [
    ...ready,
    ...others.map(({ id, zone }) => ({
      ...{ member: id, self: false, zone, contextTokens: null },
      ...{ load: { running: 0, waiting: 0 }, unreported: 0, doubted: false },
    })),
  ];
}

/** The same by plain properties, which can be replaced. */
const plain = (serving: Serving): Serving => ({
  self: serving.self,
  zone: serving.zone,
  models: () => serving.models(),
  model: (id) => serving.model(id),
  isInTouch: () => serving.isInTouch(),
  admission: () => serving.admission(),
  engineAdmission: () => serving.engineAdmission(),
  localLoad: () => serving.localLoad(),
  heardLoad: (member, load) => serving.heardLoad(member, load),
  suspect: (member, why) => serving.suspect(member, why),
  doubt: (member) => serving.doubt(member),
  engineErred: (tell) => serving.engineErred(tell),
  entered: () => serving.entered(),
  sent: (member) => serving.sent(member),
  generating: () => serving.generating(),
  onMove: (listener) => serving.onMove(listener),
  onCut: (listener) => serving.onCut(listener),
  onRelayEnd: (listener) => serving.onRelayEnd(listener),
  report: (fact) => serving.report(fact),
});

const plainJournals = (journals: Journals): Journals => ({
  open: (...opened) => journals.open(...opened),
  answer: (from, message) => journals.answer(from, message),
  find: (...wanted) => journals.find(...wanted),
  working: (id) => journals.working(id),
  takeOver: (id, fence) => journals.takeOver(id, fence),
  isAtWork: (id, member, tell) => journals.isAtWork(id, member, tell),
  handOn: (withinMs) => journals.handOn(withinMs),
  held: () => journals.held(),
  copyOf: (id) => journals.copyOf(id),
  kept: () => journals.kept(),
  close: () => journals.close(),
});
