/** Tables of the README that are made from what the code uses, each between two markers of its own. */
import { assert } from './assert.ts';

/** The text with whatever stands between `<!-- name -->` and `<!-- /name -->` replaced by this table, its head first. */
export function withTable(text: string, name: string, rows: readonly (readonly string[])[]): string {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [from, to] = [text.indexOf(open), text.indexOf(close)];
  assert(from >= 0 && to > from, `the text has no ${open} … ${close}`);
  return `${text.slice(0, from + open.length)}\n${tableOf(rows)}\n${text.slice(to)}`;
}

function tableOf(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const [head, ...body] = cells.map((row) => line(row.map((cell, column) => cell.padEnd(widths[column]!))));
  return ['', head, line(widths.map((width) => '-'.repeat(width))), ...body, ''].join('\n');
}

export const code = (text: string): string => `\`${text}\``;
/** Columns are padded as prettier pads them, which checks the README too. */
const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
