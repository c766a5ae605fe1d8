import { deepEqual, equal, ok } from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { format } from 'prettier';
import { nearest } from '../../src/config/nearest.ts';
import { withSettingsTable } from '../../src/config/readme.ts';
import { readSettings, type Given } from '../../src/config/read.ts';
import {
  describe as describeSettings,
  flagOf,
  keyOf,
  settingNames,
  settingOf,
  variableOf,
  type SettingName,
  type Settings,
} from '../../src/config/settings.ts';

const nothing: Given = { flags: {}, env: {}, file: null };
const yaml = (text: string): Given['file'] => ({ path: '/etc/synkti.yaml', text });

/** A vLLM node with nothing else set. */
const modelled = (given: Partial<Given> = {}): Given => ({
  ...nothing,
  ...given,
  flags: { model: 'm', ...given.flags },
});

function settingsOf(given: Partial<Given>): Settings {
  const reading = readSettings({ ...nothing, ...given });
  if (reading.type === 'problems') throw new Error(reading.problems.join('\n'));
  return reading.settings;
}

function problemsOf(given: Partial<Given>): readonly string[] {
  const reading = readSettings({ ...nothing, ...given });
  return reading.type === 'problems' ? reading.problems : [];
}

const peerId = (letter: string): string => `12D3KooW${letter.repeat(44)}`;

/** A text for every setting that is not its default, and what it means: a new setting has to stand here too. */
const samples: { readonly [K in SettingName]: readonly [text: string, value: Settings[K]] } = {
  cluster: ['blue', 'blue'],
  role: ['edge', 'edge'],
  nodeId: ['i-0a', 'i-0a'],
  host: ['10.0.0.7', '10.0.0.7'],
  peers: [
    `a=${peerId('A')}@10.0.0.7:4001 b=${peerId('B')}@[::1]:4001, c=${peerId('C')}`,
    [
      { name: 'a', peerId: peerId('A'), address: { host: '10.0.0.7', port: 4001 } },
      { name: 'b', peerId: peerId('B'), address: { host: '::1', port: 4001 } },
      { name: 'c', peerId: peerId('C'), address: null },
    ],
  ],
  operators: [peerId('D'), [peerId('D')]],
  apiHost: ['::1', '::1'],
  apiPort: ['80', 80],
  p2pPort: ['65535', 65_535],
  peerPort: ['1', 1],
  dataDir: ['/srv/a b', '/srv/a b'],
  engine: ['http://10.0.0.9:8000/', { url: 'http://10.0.0.9:8000' }],
  model: ['/models/llama 3', '/models/llama 3'],
  servedModelName: ['llama', 'llama'],
  engineArgs: [`--a "b c" --d='e "f"' g\\ h`, ['--a', 'b c', '--d=e "f"', 'g h']],
  engineCommand: ['/opt/vllm/bin/vllm', '/opt/vllm/bin/vllm'],
  engineReadyMs: ['2.5m', 150_000],
  region: ['eu-central-1', 'eu-central-1'],
  awsEndpoint: ['http://127.0.0.1:9', 'http://127.0.0.1:9'],
  imdsEndpoint: ['http://[::1]:9', 'http://[::1]:9'],
  discoveryMs: ['500ms', 500],
  drainMs: ['90s', 90_000],
  apiKeys: ['/etc/synkti/keys.yaml', { from: 'file', path: '/etc/synkti/keys.yaml' }],
  tlsCert: ['/etc/synkti/cert.pem', '/etc/synkti/cert.pem'],
  tlsKey: ['/etc/synkti/key.pem', '/etc/synkti/key.pem'],
  mediaHosts: ['media.example, CDN.example', ['media.example', 'cdn.example']],
  corsOrigins: ['https://a.example http://localhost:3000', ['https://a.example', 'http://localhost:3000']],
  bodyBytesMax: ['512kb', 524_288],
  formBytesMax: ['1mb', 1_048_576],
  logLevel: ['debug', 'debug'],
  logFormat: ['text', 'text'],
  faults: ['true', true],
};

for (const name of settingNames) {
  test(`${keyOf(name)} means the same from a flag, a variable and a file`, () => {
    const [text, value] = samples[name];
    const file = yaml(`${keyOf(name)}: ${JSON.stringify(text)}`);
    // An edge has no engine, which is a relation and not what this is about.
    const { flags = {} } = name === 'model' ? {} : modelled();
    // Who lists its peers says who it is itself.
    const beside: Given['flags'] =
      name === 'peers'
        ? { nodeId: 'a', host: '10.0.0.7' }
        : name === 'nodeId'
          ? { peers: `a=${peerId('A')}`, host: '10.0.0.7' }
          : name === 'tlsCert'
            ? { tlsKey: '/a' }
            : name === 'tlsKey'
              ? { tlsCert: '/a' }
              : {};
    const rest = { flags: { ...flags, ...beside } };
    deepEqual(settingsOf({ ...rest, flags: { ...rest.flags, [name]: text } })[name], value);
    deepEqual(settingsOf({ ...rest, env: { [variableOf(name)]: text } })[name], value);
    deepEqual(settingsOf({ ...rest, file })[name], value);
    ok(JSON.stringify(settingsOf(modelled())[name]) !== JSON.stringify(value), 'the sample is the default');
  });
}

test('what is shown of a setting reads back as the same value', () => {
  for (const name of settingNames) {
    const { kind } = settingOf(name);
    deepEqual(kind.parse(String(kind.show(samples[name][1]))), samples[name][1], name);
  }
});

test('a flag wins over a variable, a variable over the file, the file over the default', () => {
  const flags = { apiPort: '81' };
  const env = { SYNKTI_API_PORT: '82' };
  const file = yaml('apiPort: 83');
  equal(settingsOf(modelled({ flags, env, file })).apiPort, 81);
  equal(settingsOf(modelled({ env, file })).apiPort, 82);
  equal(settingsOf(modelled({ file })).apiPort, 83);
  equal(settingsOf(modelled()).apiPort, 8000);
});

test("our own variable wins over the AWS SDK's, and an empty variable is an unset one", () => {
  const env = { AWS_REGION: 'eu-west-1', AWS_ENDPOINT_URL: 'http://127.0.0.1:5000', SYNKTI_CLUSTER: '' };
  const settings = settingsOf(modelled({ env }));
  deepEqual([settings.region, settings.awsEndpoint], ['eu-west-1', 'http://127.0.0.1:5000']);
  equal(settings.cluster, null);
  equal(settingsOf(modelled({ env: { ...env, SYNKTI_REGION: 'us-east-1' } })).region, 'us-east-1');
});

test('every problem is told at once, with its place, what stands there and what was expected', () => {
  const given: Given = {
    flags: { apiPort: '80a', role: 'boss' },
    env: { SYNKTI_DRAIN: '100', SYNKTI_DISCOVRY: '3s', PATH: '/bin' },
    file: yaml('bodyMax: 16\nengin: vllm\nmodel: {name: x}\nengineArgs: [--a, [b]]\nfaults: yes\n'),
  };
  deepEqual(problemsOf(given), [
    '/etc/synkti.yaml: engin: no such setting, did you mean engine?',
    'SYNKTI_DISCOVRY: no such setting, did you mean SYNKTI_DISCOVERY?',
    '--role: "boss" is not worker or edge',
    '--api-port: "80a" is not a port from 1 to 65535',
    '/etc/synkti.yaml: model: a nested value is not a text without control characters',
    '/etc/synkti.yaml: engineArgs: a nested value is not words, quoted as for a shell',
    'SYNKTI_DRAIN: "100" is not a duration from 1s to 1h, such as 500ms or 30s',
    '/etc/synkti.yaml: bodyMax: "16" is not a size from 1kb to 1gb, such as 512kb or 16mb',
    '/etc/synkti.yaml: faults: "yes" is not true or false',
  ]);
});

test('a file that is not YAML, or no mapping, is one clear line', () => {
  deepEqual(problemsOf(modelled({ file: yaml('a: [1\nb: 2') })).length, 1);
  ok(problemsOf(modelled({ file: yaml('a: [1\nb: 2') }))[0]!.startsWith('/etc/synkti.yaml:2: not YAML: '));
  deepEqual(problemsOf(modelled({ file: yaml('- a') })), [
    '/etc/synkti.yaml: not a list of `setting: value` lines',
  ]);
  for (const empty of ['', '# nothing\n', '---\n'])
    deepEqual(problemsOf(modelled({ file: yaml(empty) })), []);
});

test('an alias may stand for what is written above it, and one of nothing is a problem as any other', () => {
  const { model, servedModelName } = settingsOf({ file: yaml('model: &it m\nservedModelName: *it\n') });
  deepEqual([model, servedModelName], ['m', 'm']);
  const why = 'an alias that means nothing (a value that begins with * needs quotes)';
  deepEqual(problemsOf(modelled({ file: yaml('mediaHosts: *.example\n? [a]\n: b\n') })), [
    '/etc/synkti.yaml: ["a"]: no such setting',
    `/etc/synkti.yaml: mediaHosts: ${why} is not a list of host names`,
  ]);
  const tenfold = 'a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n';
  const bomb = `${tenfold}c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nengineArgs: [*c, *c, *c, *c, *c]\n`;
  equal(
    problemsOf(modelled({ file: yaml(bomb) }))
      .at(-1)!
      .startsWith('/etc/synkti.yaml: engineArgs: an alias'),
    true,
  );
});

test('an edge runs no engine, and a worker does', () => {
  const edge = settingsOf({ flags: { role: 'edge' } });
  deepEqual([edge.engine, edge.model], ['none', null]);
  deepEqual(problemsOf({ flags: { role: 'edge', engine: 'simulated' } }), [
    '--engine: an edge runs no engine, expected none or nothing at all',
  ]);
  deepEqual(problemsOf({ env: { SYNKTI_ENGINE: 'none' } }), [
    'SYNKTI_ENGINE: a worker needs an engine, none is for --role edge',
  ]);
});

test('vllm needs a model, the simulated engine has its own, one behind a URL tells its own', () => {
  deepEqual(problemsOf({}), [
    '--model or SYNKTI_MODEL: missing, expected what vllm shall serve: a path or a name',
  ]);
  equal(settingsOf({ flags: { engine: 'simulated' } }).model, 'simulated');
  equal(settingsOf({ flags: { engine: 'http://h:1' } }).model, null);
});

test('a node that lists its peers says its own name and address, and a broken list says what it should be', () => {
  const listed = `a=${peerId('A')}@10.0.0.7:4001`;
  deepEqual(problemsOf(modelled({ env: { SYNKTI_PEERS: listed } })), [
    '--node-id or SYNKTI_NODE_ID: missing, with --peers expected the name of this node in the list',
    '--host or SYNKTI_HOST: missing, with --peers expected where the others reach this node',
  ]);
  const bad = ['a', `a=${peerId('A')}@`, `a=${peerId('A')}@h:0`, 'a=Qm12', `${listed},${listed}`, ' , '];
  for (const peers of [...bad, `${listed} b=${peerId('A')}`])
    equal(problemsOf(modelled({ flags: { peers } })).length, 1, peers);
  for (const operators of ['me', `${peerId('A')} ${peerId('A')}`])
    equal(problemsOf(modelled({ flags: { operators } })).length, 1, operators);
});

test('a node of EC2 has the name of its instance, and nobody is told an address that is none', () => {
  deepEqual(problemsOf(modelled({ flags: { nodeId: 'a' } })), [
    '--node-id: on EC2 a node has the name of its instance, expected nothing without --peers',
  ]);
  for (const host of ['0.0.0.0', '::', '0:0:0:0:0:0:0:0'])
    deepEqual(problemsOf(modelled({ env: { SYNKTI_HOST: host } })), [
      `SYNKTI_HOST: ${host} is no address that other nodes could be told, expected one of this machine`,
    ]);
});

test('no two listeners share a port', () => {
  deepEqual(problemsOf(modelled({ env: { SYNKTI_API_PORT: '4001' } })), [
    'SYNKTI_API_PORT: 4001 is the port of p2pPort already',
  ]);
});

test('no credential of any source reaches the first log line or a problem', () => {
  const secret = 'hunter2';
  const flags = {
    engine: `http://user:${secret}@engine:8000`,
    engineArgs: `--api-key ${secret} --hf-token=${secret} --enforce-eager http://u:${secret}@h/`,
    awsEndpoint: `https://${secret}@aws`,
  };
  const described = describeSettings(settingsOf({ flags }));
  equal(JSON.stringify(described).includes(secret), false);
  equal(described['engineArgs'], '--api-key *** --hf-token=*** --enforce-eager http://***@h/');
  const broken = problemsOf({
    flags: {
      ...{ awsEndpoint: `ftp://u:${secret}@h`, imdsEndpoint: `http://u:a/${secret}@h` },
      engineArgs: `--x --api-key "${secret} ${secret} --y`,
    },
  });
  equal(broken.length, 4);
  equal(broken.join().includes(secret), false);
});

test('of several keys, of a password with an @ and of a field of JSON nothing is shown, of a count everything', () => {
  const shown = (engineArgs: string): unknown =>
    describeSettings(settingsOf(modelled({ flags: { engineArgs } })))['engineArgs'];
  equal(shown('--api-key one two --x http://u:p@ss@h/a@b'), '--api-key *** *** --x http://***@h/a@b');
  equal(shown(`--kv '{"secret_key": "one", "n": 1}'`), `--kv '{"secret_key": "***", "n": 1}'`);
  equal(shown('--a.hf_token=one'), '--a.hf_token=***');
  equal(shown('--max-num-batched-tokens 8192'), '--max-num-batched-tokens 8192');
});

test('origins are kept as browsers send them, and a word that no program could be given is refused', () => {
  deepEqual(settingsOf(modelled({ flags: { corsOrigins: 'HTTPS://App.Example' } })).corsOrigins, [
    'https://app.example',
  ]);
  equal(problemsOf(modelled({ file: yaml('engineArgs: ["a\\0b"]\n') })).length, 1);
});

test('words that no shell could split are refused', () => {
  for (const engineArgs of [`--a "b`, `--a 'b`, `a\\`])
    deepEqual(problemsOf(modelled({ flags: { engineArgs } })).length, 1, engineArgs);
});

test('the nearest name is proposed, and nothing when none is near', () => {
  const flags = settingNames.map(flagOf);
  equal(nearest('--api-prot', flags), '--api-port');
  equal(nearest('--Log-Level', flags), '--log-level');
  equal(nearest('--zzz', flags), null);
});

test("the README's table of settings is current, and formatted as prettier wants it", async () => {
  const fresh = withSettingsTable('<!-- settings -->\n<!-- /settings -->\n');
  equal(await format(fresh, { parser: 'markdown', printWidth: 110 }), fresh);
  if (!existsSync('README.md')) return;
  const readme = readFileSync('README.md', 'utf8');
  equal(readme, withSettingsTable(readme), 'run: npm run readme');
});
