import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { hash } from 'node:crypto';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { apiKeysFrom } from '../../src/config/api-keys.ts';
import { settingNames, type Settings } from '../../src/config/settings.ts';
import { Failure } from '../../src/std/failure.ts';
import { synkti } from './io.ts';
import { devCluster, nodeIn, tempDir } from './nodes.ts';

test('every command has a help that ends in examples', async () => {
  const { out } = await synkti(['--help']);
  match(out, /^ {2}dev \[flags\.\.\.\] .*\n {2}chaos <act> <node> /m);
  const commands = [...out.matchAll(/^ {2}([a-z]+)(?= .* {2})/gm)].map(([, name]) => name!);
  deepEqual(
    commands.filter((name) => name !== 'synkti'),
    [
      'run',
      'dev',
      'chaos',
      'status',
      'members',
      'explain',
      'identity',
      'key',
      'drain',
      'leave',
      'version',
      'completion',
      'help',
    ],
  );
  for (const command of ['', ...commands.filter((name) => name !== 'help' && name !== 'synkti')]) {
    const { code, out } = await synkti([...(command === '' ? [] : [command]), '--help']);
    equal(code, 0);
    match(out, /\nExamples:\n( {2}\S.* {2}\S.*\n)+$/, command);
  }
});

test('run hands the resolved settings to the node, and its exit code back', async (t) => {
  const file = join(await tempDir(t), 'synkti.yaml');
  await writeFile(file, 'model: from-file\ndrain: 7s\n');
  let given: Settings | null = null;
  const runNode = (settings: Settings): Promise<number> => {
    given = settings;
    return Promise.resolve(1);
  };
  const args = ['run', '--drain', '5s', '--faults', '--engine-args', '--a "b c"'];
  const { code, err } = await synkti(args, { env: { SYNKTI_CONFIG: file, SYNKTI_CLUSTER: 'blue' }, runNode });
  deepEqual([code, err], [1, '']);
  const { drainMs, faults, engineArgs, model, cluster } = given!;
  deepEqual(
    [drainMs, faults, engineArgs, model, cluster],
    [5_000, true, ['--a', 'b c'], 'from-file', 'blue'],
  );
  deepEqual(Object.keys(given!).sort(), [...settingNames].sort());
});

test('a node that cannot start is one line and exit code 1; a bug keeps its stack', async () => {
  const args = ['run', '--engine', 'simulated'];
  const failing = await synkti(args, {
    runNode: () => Promise.reject(new Failure('busy', 'port 8000: in use')),
  });
  deepEqual([failing.code, failing.err], [1, 'synkti: port 8000: in use\n']);
  const bug = synkti(args, { runNode: () => Promise.reject(new Error('invariant broken')) });
  await bug.then(
    () => ok(false, 'a bug went unnoticed'),
    (error: Error) => equal(error.message, 'invariant broken'),
  );
});

test('status and members are text for a person and the same as JSON for a program', async (t) => {
  const dataDir = await tempDir(t);
  const node = await nodeIn(t, dataDir);
  const status = await synkti(['status', '--data-dir', dataDir]);
  equal(status.code, 0);
  match(
    status.out,
    /^i-1 +worker of blue in zone-a\nphase +serving\nengine +ready simulated: 3 running, 1 waiting/,
  );
  match(status.out, /^process +42, up 1 m 1 s, version 1\.2\.3$/m);
  deepEqual(JSON.parse((await synkti(['status', '--data-dir', dataDir, '--json'])).out), node.status());
  const members = await synkti(['members', '--data-dir', dataDir]);
  match(
    members.out,
    /^MEMBER .*\ni-1 \(self\) +worker +zone-a +alive +serving +ready +simulated +4 +- +1\.2\.3\n/,
  );
  match(members.out, /\ni-2 .* - +never +1\.2\.3\n$/);
  deepEqual(JSON.parse((await synkti(['members', '--data-dir', dataDir, '--json'])).out), node.members());
});

test('a terminal too narrow for all that members knows is shown what differs most, and no broken line', async (t) => {
  const dataDir = await tempDir(t);
  await nodeIn(t, dataDir);
  const headAt = async (columns: number): Promise<string> => {
    const { out } = await synkti(['members', '--data-dir', dataDir], { size: { columns, rows: 24 } });
    const lines = out.trimEnd().split('\n');
    equal(lines.length, 3);
    ok(columns < 60 || lines.every((line) => line.length <= columns), out);
    return lines[0]!.replaceAll(/ +/g, ' ');
  };
  const whole = 'MEMBER ROLE ZONE HEALTH PHASE ENGINE MODELS LOAD HEARD VERSION';
  equal(await headAt(200), whole);
  // A terminal that a container made says that it has no size.
  equal(await headAt(0), whole);
  equal(await headAt(80), 'MEMBER ROLE ZONE HEALTH PHASE ENGINE MODELS LOAD HEARD');
  equal(await headAt(70), 'MEMBER ZONE HEALTH PHASE ENGINE MODELS LOAD HEARD');
  equal(await headAt(10), 'MEMBER HEALTH PHASE ENGINE LOAD HEARD');
});

test('explain tells of a member what the node knows, from whom, how old, and which votes', async (t) => {
  const dataDir = await tempDir(t);
  const node = await nodeIn(t, dataDir);
  const { code, out } = await synkti(['explain', 'member', 'i-2', '--data-dir', dataDir]);
  equal(code, 0);
  deepEqual(out.trimEnd().split('\n'), [
    'i-2           suspect for 12 s: so its observers voted',
    'listed        worker in zone-b, for 1 h 0 m',
    'peer id       peer-i-2',
    'address       10.0.0.2:4001',
    '              i-5 said otherwise 2 s ago, and nobody else did',
    'record        worker, serving, engine ready, version 1.2.3 (incarnation 1700000000, sequence 7, from i-2 10 m 0 s ago)',
    'connection    stands, heard 12 s ago',
    'observers     i-1, i-3, i-4, this node among them; it observes others',
    'our doubt     its beats stopped',
    'our probe     slow: its kernel answers, its process does not, 300 ms ago',
    'votes         i-3: slow, 900 ms ago, counts for 39 s more',
    '              i-1: slow, 1 s ago, counts for 38 s more',
    'held dead by  i-4, said 5 s ago',
  ]);
  const json = await synkti(['explain', 'member', 'i-2', '--data-dir', dataDir, '--json']);
  deepEqual(JSON.parse(json.out), await node.explainMember('i-2'));
});

test('explain tells of a stream which way it goes, from where to where it went, and what stall', async (t) => {
  const dataDir = await tempDir(t);
  const node = await nodeIn(t, dataDir);
  const { code, out } = await synkti(['explain', 'stream', 'k3TtX', '--data-dir', dataDir]);
  equal(code, 0);
  deepEqual(out.trimEnd().split('\n'), [
    'k3TtX        simulated at i-2, gone on with 4 s ago, running, 96 tokens',
    'request      req-7',
    'protected    exact: ids, continued from its token ids',
    'served by    i-3',
    'replicas     i-1, i-3; 2 have a copy',
    'steps        i-4 did not answer: suspect after 540 ms, 3 s ago',
    '             i-4 -> i-3: suspect, after 60 tokens, by ids, stall 612 ms, 2 s ago',
    'log held by  i-3, as i-2 wrote it',
    'no answer    i-5',
    '',
    'k3TtX           simulated at i-1, begun 9 s ago, handed over (taken) 4 s ago, 60 tokens',
    'request         req-6',
    'protected       exact: ids, continued from its token ids',
    'served last by  i-4',
    'replicas        none',
  ]);
  const json = await synkti(['explain', 'stream', 'k3TtX', '--data-dir', dataDir, '--json']);
  deepEqual(JSON.parse(json.out), await node.explainStream('k3TtX'));
  const unknown = await synkti(['explain', 'stream', 'nope', '--data-dir', dataDir]);
  deepEqual([unknown.code, unknown.out], [1, '']);
  match(unknown.err, /^synkti: stream nope: not known to 3 nodes/);
});

test('explain of a member that is not known names those that were perhaps meant', async (t) => {
  const dataDir = await tempDir(t);
  await nodeIn(t, dataDir, 'i-0a1b2c');
  for (const [named, said] of [
    ['i-0a1b2d', 'did you mean i-0a1b2c?'],
    ['1b2', 'did you mean i-0a1b2c?'],
    ['something-else', 'it knows i-0a1b2c, i-2'],
  ] as const) {
    const { code, out, err } = await synkti(['explain', 'member', named, '--data-dir', dataDir]);
    deepEqual([code, out, err], [1, '', `synkti: member ${named}: not known to this node, ${said}\n`]);
  }
});

test('explain takes a node of the development cluster by the number that the log of the cluster shows', async (t) => {
  const { dir } = await devCluster(t);
  for (const name of ['2', 'node-2', 'i-2']) {
    const { code, out } = await synkti(['explain', 'member', name, '--dir', dir, '--json']);
    deepEqual([code, (JSON.parse(out) as { id: string }).id], [0, 'i-2'], name);
  }
  equal((await synkti(['explain', 'member', 'node-9', '--dir', dir])).code, 1);
  const state = await tempDir(t);
  await mkdir(join(state, 'synkti'));
  await symlink(dir, join(state, 'synkti', 'dev'));
  const elsewhere = ['explain', 'member', 'node-2', '--data-dir', join(dir, 'node-1')];
  const { code } = await synkti(elsewhere, { env: { XDG_STATE_HOME: state } });
  equal(code, 1, 'there a node may have that name');
});

test('of a dead member the table shows no phase, for it has none any more', async (t) => {
  const dataDir = await tempDir(t);
  const node = await nodeIn(t, dataDir);
  const [self, other] = node.members();
  node.members = () => [self!, { ...other!, health: 'dead' }];
  const { out } = await synkti(['members', '--data-dir', dataDir]);
  match(out, /^i-2 +worker +zone-b +dead +- +- +simulated /m);
  match(
    (await synkti(['members', '--data-dir', dataDir, '--json'])).out,
    /"health":"dead","phase":"serving"/,
  );
});

test('what another node calls itself cannot move the cursor', async (t) => {
  const dataDir = await tempDir(t);
  await nodeIn(t, dataDir, 'i-\u001b[2J\n\u202eevil');
  const { out } = await synkti(['members', '--data-dir', dataDir]);
  match(out, /^i-\?\[2J\?\?evil \(self\)/m);
});

test('drain and leave give the node the time that was said or its own, and tell what became of it', async (t) => {
  const dataDir = await tempDir(t);
  const node = await nodeIn(t, dataDir);
  match(
    (await synkti(['drain', '--data-dir', dataDir])).out,
    /^i-1: draining \(operator\) until \d\d:\d\d:\d\d\n$/,
  );
  // It stops its engine yet.
  equal((await synkti(['drain', '--data-dir', dataDir, '--within', '0s'])).out, 'i-1: leaving\n');
  equal((await synkti(['leave', '--data-dir', dataDir, '--within', '30s'])).out, 'i-1: left\n');
  deepEqual(node.told, ['drain operator 70000', 'drain operator 0', 'leave 30000']);
});

test('version says what it is, to a person and to a program', async () => {
  match((await synkti(['--version'])).out, /^synkti \d+\.\d+\.\d+ \(from source, /);
  const told = JSON.parse((await synkti(['version', '--json'])).out) as Record<string, unknown>;
  deepEqual(Object.keys(told), ['version', 'commit', 'node', 'platform', 'arch']);
  equal((await synkti(['version', '--notices'])).code, 1);
});

test('identity prints the peer id that a first start would have, and the same ever after', async (t) => {
  const dir = join(await tempDir(t), 'new');
  const first = await synkti(['identity', '--data-dir', dir]);
  equal(first.code, 0);
  match(first.out, /^12D3KooW\w+\n$/);
  const again = await synkti(['identity', '--json'], { env: { SYNKTI_DATA_DIR: dir } });
  deepEqual(JSON.parse(again.out), { peerId: first.out.trim() });
  const denied = await synkti(['identity', '--data-dir', '/proc/nowhere']);
  equal(denied.code, 1);
  match(denied.err, /\/proc\/nowhere/);
});

test('a new key is shown to a person once, and its digest is an entry of the list', async () => {
  const { code, out, err } = await synkti(['key', 'new', 'alice']);
  equal(code, 0);
  const [, key = ''] = /^the key of alice, shown this once: (sk-[\w-]{43})\n$/.exec(err) ?? [];
  deepEqual(
    apiKeysFrom(out, 'stdout').map(({ name, sha256 }) => [name, sha256]),
    [['alice', hash('sha256', key, 'hex')]],
  );
  equal(out.includes(key), false);
  const told = JSON.parse((await synkti(['key', 'new', 'ci', '--json'])).out) as Record<string, string>;
  deepEqual([told['name'], told['sha256']], ['ci', hash('sha256', told['key']!, 'hex')]);
  equal((await synkti(['key', 'new', 'a b'])).code, 2);
  const names = ['1234', '007', '1e5', 'true', 'null', '@ci', '-', 'no'];
  const entries = await Promise.all(names.map(async (name) => (await synkti(['key', 'new', name])).out));
  deepEqual(
    apiKeysFrom(entries.join(''), 'stdout').map(({ name }) => name),
    names,
  );
});
