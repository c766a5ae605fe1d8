import { deepEqual, equal, notEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedSpec } from '../../src/engines/simulated.ts';
import { digestOf, engineSocket } from '../../src/engines/spec.ts';
import { vllmSpec } from '../../src/engines/vllm.ts';
import { Failure } from '../../src/std/failure.ts';

const vllm = {
  command: 'vllm',
  model: '/models/m',
  servedName: 'm',
  socket: '/d/engine.sock',
  mediaHosts: [],
  extraArgs: [],
  batchInvariant: false,
};

test('vLLM listens on the socket only, serves under its name, and what the operator adds comes last', () => {
  const { command, args, env, warmUp } = vllmSpec({
    ...vllm,
    extraArgs: ['--max-num-seqs=32', '--shutdown-timeout=9'],
  });
  equal(command, 'vllm');
  deepEqual(args, [
    'serve',
    '/models/m',
    '--uds=/d/engine.sock',
    '--served-model-name=m',
    '--allowed-media-domains',
    'none.invalid',
    '--enable-scale-out',
    '--shutdown-timeout=0',
    '--disable-access-log-for-endpoints=/health,/metrics,/v1/models',
    '--max-num-seqs=32',
    '--shutdown-timeout=9',
  ]);
  deepEqual([env['VLLM_NO_USAGE_STATS'], env['DO_NOT_TRACK'], warmUp], ['1', '1', true]);
});

test('vLLM fetches media from the hosts that it is told, and is redirected to no others', () => {
  const { args, env } = vllmSpec({ ...vllm, mediaHosts: ['media.example', 'cdn.example'] });
  const at = args.indexOf('--allowed-media-domains');
  deepEqual(args.slice(at + 1, at + 4), ['media.example', 'cdn.example', '--enable-scale-out']);
  equal(env['VLLM_MEDIA_URL_ALLOW_REDIRECTS'], '0');
});

test('vLLM computes the same again in float32, or where it is told to whatever the batch', () => {
  const cases: readonly [readonly string[], boolean][] = [
    [[], false],
    [['--dtype=float32'], true],
    [['--dtype', 'float'], true],
    [['--dtype', 'float32', '--dtype=bfloat16'], false],
  ];
  for (const [extraArgs, repeatable] of cases) equal(vllmSpec({ ...vllm, extraArgs }).repeatable, repeatable);
  equal(vllmSpec({ ...vllm, batchInvariant: true }).repeatable, true);
});

test('without a name of its own a model is served under the one it was given by', () => {
  equal(vllmSpec({ ...vllm, servedName: null }).args[3], '--served-model-name=/models/m');
});

test('the simulated engine is this program again', () => {
  const respawn = (args: readonly string[]) => ({ command: '/bin/synkti', args });
  const spec = simulatedSpec({
    respawn,
    servedName: 'simulated',
    socket: '/d/s',
    extraArgs: ['--token-ms=5'],
  });
  equal(spec.command, '/bin/synkti');
  deepEqual(spec.args.slice(0, 2), ['simulated-engine', '--uds=/d/s']);
  equal(spec.args.at(-1), '--token-ms=5');
});

test('a digest tells engines apart by what decides about them, and by nothing else', () => {
  const spec = vllmSpec(vllm);
  equal(digestOf(vllmSpec(vllm)), digestOf(spec));
  equal(digestOf({ ...spec, env: Object.fromEntries(Object.entries(spec.env).reverse()) }), digestOf(spec));
  const others = [
    { ...spec, command: 'vllm2' },
    { ...spec, args: [...spec.args, '-x'] },
    { ...spec, args: [`${spec.args[0]} ${spec.args[1]}`, ...spec.args.slice(2)] },
    { ...spec, env: { ...spec.env, PYTHONHASHSEED: '1' } },
    { ...spec, socket: '/other' },
  ];
  for (const other of others) notEqual(digestOf(other), digestOf(spec));
});

test('a data directory too deep for a Unix socket is refused, with the reason', () => {
  equal(engineSocket('/var/lib/synkti'), '/var/lib/synkti/engine.sock');
  throws(
    () => engineSocket(`/${'d'.repeat(100)}`),
    (error: unknown) =>
      error instanceof Failure && error.kind === 'invalid' && /103 bytes/.test(error.message),
  );
});
