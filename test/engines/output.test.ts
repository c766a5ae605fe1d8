import { deepEqual, equal } from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { causeFromOutput, keepBounded, readCause, turnOver } from '../../src/engines/output.ts';

const folder = mkdtempSync(join(tmpdir(), 'synkti-output-'));
after(() => rmSync(folder, { recursive: true }));

const log = (process: string, ...lines: readonly string[]): string =>
  lines.map((line) => `(${process} pid=7) ERROR 11-21 08:22:29 [core.py:900] ${line}`).join('\n');

const traceback = (last: string): readonly string[] => [
  'Traceback (most recent call last):',
  '  File "/venv/vllm/v1/engine/core.py", line 890, in run_engine_core',
  '    engine_core = EngineCoreProc(*args, **kwargs)',
  '                  ^^^^^^^^^^^^^^^',
  last,
];

const serverGivesUp = [
  'Traceback (most recent call last):',
  '  File "/venv/bin/vllm", line 8, in <module>',
  '    sys.exit(main())',
  "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}",
  '/usr/lib/python3.12/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: 1 leaked object',
  "  warnings.warn('resource_tracker: There appear to be %d '",
  '',
].join('\n');

test('the cause is what the process that failed logged first, not what the server says last', () => {
  const output = [
    '(APIServer pid=1) INFO 11-21 08:22:00 [api_utils.py:286] non-default args: {}',
    log(
      'Worker_TP0',
      'WorkerProc failed to start.',
      ...traceback('ValueError: No room for the cache blocks.'),
    ),
    log(
      'EngineCore',
      'EngineCore failed to start.',
      ...traceback('Exception: WorkerProc initialization failed'),
    ),
    serverGivesUp,
  ].join('\n');
  equal(causeFromOutput(output), 'ValueError: No room for the cache blocks.');
});

test('a process that died without an exception is reported in the words of the one that saw it', () => {
  const output = [
    log('EngineCore', 'Worker proc VllmWorker-0 died unexpectedly (exit code: -4), shutting down executor.'),
    log(
      'APIServer',
      ...traceback('vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.'),
    ),
    'INFO:     Application shutdown complete.',
  ].join('\n');
  equal(
    causeFromOutput(output),
    'Worker proc VllmWorker-0 died unexpectedly (exit code: -4), shutting down executor.',
  );
});

test('without a log line the last exception that was printed tells it', () => {
  equal(
    causeFromOutput(`${traceback('OSError: [Errno 98] Address already in use').join('\n')}\n`),
    'OSError: [Errno 98] Address already in use',
  );
  equal(
    causeFromOutput(
      'usage: vllm [-h] [-v]\n            {chat,serve}\nvllm: error: unrecognized arguments: --no-such-flag\n',
    ),
    'vllm: error: unrecognized arguments: --no-such-flag',
  );
  equal(
    causeFromOutput(
      'pydantic_core.ValidationError: 1 validation error for ModelConfig\n  Value error, too long\n    For more: x\n',
    ),
    'pydantic_core.ValidationError: 1 validation error for ModelConfig: Value error, too long',
  );
});

test('what only the server knows is still told', () => {
  const dead = 'vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.';
  equal(
    causeFromOutput(`${log('APIServer', ...traceback(dead))}\nINFO:     Finished server process [1]\n`),
    dead,
  );
});

test('otherwise it is the last line, cut to a length for people, or nothing', () => {
  equal(causeFromOutput('one\ntwo\n\n'), 'two');
  equal(causeFromOutput('z'.repeat(10_000))?.length, 400);
  deepEqual([causeFromOutput(''), causeFromOutput('\n\n')], [null, null]);
});

test('only what was printed after an instant counts, also when the file was emptied since', async () => {
  const path = join(folder, 'read.log');
  equal(await readCause(path, 0), null);
  writeFileSync(path, 'ValueError: old\nValueError: new\n');
  equal(await readCause(path, 16), 'ValueError: new');
  equal(await readCause(path, 1_000), 'ValueError: new');
});

test('a new engine begins a new file and the last one stays beside it; a short file is let be', async () => {
  const path = join(folder, 'turn.log');
  await turnOver(path);
  writeFileSync(path, 'first');
  await keepBounded(path);
  equal(readFileSync(path, 'utf8'), 'first');
  await turnOver(path);
  equal(existsSync(path), false);
  equal(readFileSync(`${path}.1`, 'utf8'), 'first');
});
