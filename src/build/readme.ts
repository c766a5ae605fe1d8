/** `npm run readme`: writes the current tables into the README. Tests hold them together. */
import { readFile, writeFile } from 'node:fs/promises';
import { withSettingsTable } from '../config/readme.ts';
import { withMetricsTable } from '../telemetry/readme.ts';

const readme = await readFile('README.md', 'utf8');
await writeFile('README.md', withMetricsTable(withSettingsTable(readme)));
