/** `npm run readme`: writes the current table of settings into the README. A test holds the two together. */
import { readFile, writeFile } from 'node:fs/promises';
import { withSettingsTable } from '../config/readme.ts';

const readme = await readFile('README.md', 'utf8');
await writeFile('README.md', withSettingsTable(readme));
