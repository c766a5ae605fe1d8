/** The README's table of settings, made from the one table that the code uses. */
import { assert } from '../std/assert.ts';
import { fallbackOf, flagOf, keyOf, settingNames, settingOf, variableOf } from './settings.ts';

const open = '<!-- settings -->';
const close = '<!-- /settings -->';

/** The text with whatever stands between the two markers replaced by the current table. */
export function withSettingsTable(readme: string): string {
  const [from, to] = [readme.indexOf(open), readme.indexOf(close)];
  assert(from >= 0 && to > from, `the README has no ${open} … ${close}`);
  return `${readme.slice(0, from + open.length)}\n${settingsTable()}\n${readme.slice(to)}`;
}

function settingsTable(): string {
  const rows = settingNames.map((name) => {
    const flag = `${flagOf(name)} ${settingOf(name).kind.placeholder}`.trim();
    return [code(flag), code(variableOf(name)), code(keyOf(name)), fallbackOf(name), settingOf(name).help];
  });
  const cells = [['flag', 'variable', 'key in the file', 'default', 'meaning'], ...rows].map((row) =>
    row.map((cell) => cell.replaceAll('|', '\\|')),
  );
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const [head, ...body] = cells.map((row) => line(row.map((cell, column) => cell.padEnd(widths[column]!))));
  return ['', head, line(widths.map((width) => '-'.repeat(width))), ...body, ''].join('\n');
}

const code = (text: string): string => `\`${text}\``;
/** Columns are padded as prettier pads them, which checks the README too. */
const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
