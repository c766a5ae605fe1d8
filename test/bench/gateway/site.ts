/** The engines and all gateways in front of them, for one pace of the engines. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Program } from '../../lab/program.ts';
import { openEngines } from './engines.ts';
import { openBareProxy, openNginx, openVllmRouter, type Gateway } from './others.ts';
import { openOurs, type Ours } from './ours.ts';

export type Name = 'synkti' | 'vllmRouter' | 'nginx' | 'nodeHttp';

export type Site = {
  readonly ours: Ours;
  readonly gateways: ReadonlyMap<Name, Gateway>;
  /** One of them, to be asked directly. */
  readonly engine: string;
};

type Options = {
  readonly dir: string;
  readonly program: Program;
  /** The installed vllm-router. */
  readonly router: string;
  readonly tokenMs: number;
  readonly say: (line: string) => void;
};

/** Everything is gone when `use` is done. */
export async function withSite<T>(
  { dir, program, router, tokenMs, say }: Options,
  use: (site: Site) => Promise<T>,
): Promise<T> {
  await using opened = new AsyncDisposableStack();
  const engines = await openEngines(program, tokenMs);
  opened.defer(() => engines.close());
  const place = join(dir, `every-${tokenMs}-ms`);
  await mkdir(place, { recursive: true });
  const ground = { dir: place, engines: engines.urls };
  const gateways = new Map<Name, Gateway>();
  const enter = (name: Name, gateway: Gateway): void => {
    gateways.set(name, gateway);
    opened.defer(() => gateway.close());
  };
  const ours = await openOurs(ground, program);
  enter('synkti', ours);
  enter('vllmRouter', await openVllmRouter(ground, router));
  const nginx = await openNginx(ground);
  if (nginx === null) say('nginx is skipped: it is not installed (Debian: nginx-light)');
  else enter('nginx', nginx);
  enter('nodeHttp', await openBareProxy(ground));
  return await use({ ours, gateways, engine: engines.urls[0]! });
}
