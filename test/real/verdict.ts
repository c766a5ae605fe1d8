/** What came of all streams, as other programs read it, and in words what of it must not be. */
import { models, type ModelName } from './questions.ts';
import type { Survived, Told } from './survival.ts';

const ways = ['ids', 'derender', 'replay'] as const;
type Tried = { readonly tried: number; readonly equal: number };

type Report = {
  readonly engine: 'vllm';
  readonly streams: number;
  readonly killed: number;
  readonly cut: number;
  readonly wrongTokens: number;
  /** Streams that went on elsewhere, and those of them that ended as undisturbed. One may go on in two ways. */
  readonly byWay: Readonly<Record<(typeof ways)[number], Tried>>;
  readonly resumed: number;
};

/** Of a run over all models. */
const least = { streams: 60, killed: 6 } as const;

export function verdict(
  played: readonly ModelName[],
  results: readonly Survived[],
): { readonly report: Report; readonly broken: readonly string[] } {
  const told = results.flatMap((result) => result.told);
  const sum = (of: (one: Told) => number): number => told.reduce((total, one) => total + of(one), 0);
  const equal = (some: readonly Told[]): number =>
    some.filter(({ cut, wrong, how }) => cut === null && wrong === 0 && how === null).length;
  const went = (way: string): Tried => {
    const some = told.filter((one) => one.ways.includes(way));
    return { tried: some.length, equal: equal(some) };
  };
  const report: Report = {
    engine: 'vllm',
    streams: told.length,
    killed: results.reduce((total, { killed }) => total + killed, 0),
    cut: told.filter(({ cut }) => cut !== null).length,
    wrongTokens: sum(({ wrong }) => wrong),
    byWay: { ids: went('ids'), derender: went('derender'), replay: went('replay') },
    resumed: told.filter(({ resumed, cut }) => resumed > 0 && cut === null).length,
  };
  const isWhole = played.length === models.length;
  const wanted = isWhole ? ways : [];
  const bounds: readonly (readonly [string, boolean])[] = [
    ['no stream is cut', report.cut === 0],
    ['every stream is as undisturbed', equal(told) === told.length],
    ['some streams resume', report.resumed > 0],
    ...wanted.map((way) => [`some streams go on by ${way}`, report.byWay[way].tried > 0] as const),
    [`${least.streams} streams`, !isWhole || report.streams >= least.streams],
    [`${least.killed} kills`, !isWhole || report.killed >= least.killed],
  ];
  const broken = bounds.filter(([, holds]) => !holds).map(([bound]) => bound);
  return { report, broken: [...broken, ...results.flatMap(({ left }) => left)] };
}
