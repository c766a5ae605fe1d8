/** The trial of a rolling restart, a partition and a lease, with six daemons; `npm run trial:partition` takes sixteen. */
import { equal, ok } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { enclosable } from '../lab/enclosure.ts';

const trial = join(import.meta.dirname, '../trial/partition.ts');
const can = enclosable();
const bounded = { timeout: 540_000, skip: can === true ? false : can };

type Answers = { readonly answered: number; readonly failed: number };

test(
  'nodes restart and a network splits and heals while clients are served on both sides',
  bounded,
  async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [trial, '--small', '--json']).catch(
      (failed: { stdout: string; stderr: string }) => {
        throw new Error(`${failed.stdout}\n${failed.stderr}`);
      },
    );
    const report = JSON.parse(stdout) as {
      readonly rollingRestart: Answers & { readonly restarted: number };
      readonly partition: { readonly west: Answers; readonly east: Answers; readonly merged: boolean };
      readonly lease: { readonly epochs: number; readonly violations: number };
    };
    equal(report.rollingRestart.restarted, 6);
    equal(report.rollingRestart.failed, 0);
    for (const half of [report.partition.west, report.partition.east]) {
      ok(half.answered > 0);
      equal(half.failed, 0);
    }
    ok(report.partition.merged);
    ok(report.lease.epochs >= 3, `${report.lease.epochs} epochs`);
    equal(report.lease.violations, 0);
  },
);
