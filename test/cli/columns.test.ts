import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { columns } from '../../src/cli/columns.ts';

test('neither a head nor a row moves the cursor of whoever reads it', () => {
  equal(/[^\n\x20-\x7e]/.test(columns(['a\u001b[2J', 'b'], [['\u0007', '\u202e']])), false);
});
