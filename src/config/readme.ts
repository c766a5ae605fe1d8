/** The README's table of settings, made from the one table that the code uses. */
import { code, withTable } from '../std/markdown.ts';
import { fallbackOf, flagOf, keyOf, settingNames, settingOf, variableOf } from './settings.ts';

const head = ['flag', 'variable', 'key in the file', 'default', 'meaning'];

export const withSettingsTable = (readme: string): string =>
  withTable(readme, 'settings', [head, ...settingNames.map(rowOf)]);

function rowOf(name: (typeof settingNames)[number]): readonly string[] {
  const flag = `${flagOf(name)} ${settingOf(name).kind.placeholder}`.trim();
  return [code(flag), code(variableOf(name)), code(keyOf(name)), fallbackOf(name), settingOf(name).help];
}
