/** `synkti/client` as another project gets it: built, by its name, typed, under the official client. */
import { deepEqual } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { openNodes, wholeText } from './fake-nodes.ts';

const root = join(import.meta.dirname, '../..');
const tsc = join(root, 'node_modules/.bin/tsc');
const run = promisify(execFile);

/** What its user writes. The official client asks for a `fetch`, and the compiler agrees that it is one. */
const program = `
import OpenAI from 'openai';
import { durableFetch, type Resumption } from 'synkti/client';

const urls: string[] = process.argv.slice(2);
const resumed: Resumption[] = [];
const fetch = durableFetch(urls, { onResume: (resumption) => void resumed.push(resumption) });
const client = new OpenAI({ baseURL: urls[0]!, apiKey: 'none', maxRetries: 0, fetch });
const messages = [{ role: 'user' as const, content: 'hello' }];
const stream = await client.chat.completions.create({ model: 'm', messages, stream: true });
let text = '';
for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
const whole = await client.chat.completions.create({ model: 'm', messages });
console.log(JSON.stringify({ text, whole: whole.choices[0]?.message.content, resumed: resumed.length }));
`;

const options = {
  compilerOptions: {
    ...{ module: 'nodenext', target: 'es2022', strict: true, skipLibCheck: true, lib: ['es2022', 'dom'] },
    ...{ types: ['node'], typeRoots: [join(root, 'node_modules/@types')], outDir: 'built' },
  },
  files: ['program.ts'],
};

test('another project imports the built package by its name, typed, and its streams go on', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-user-'));
  const nodes = await openNodes(3, [
    { type: 'break', after: 4 },
    { type: 'farewell', after: 3 },
  ]);
  try {
    await run(tsc, ['-p', join(root, 'src/client')]);
    await mkdir(join(dir, 'node_modules'));
    await symlink(root, join(dir, 'node_modules/synkti'));
    await symlink(join(root, 'node_modules/openai'), join(dir, 'node_modules/openai'));
    await writeFile(join(dir, 'package.json'), '{"type":"module"}');
    await writeFile(join(dir, 'tsconfig.json'), JSON.stringify(options));
    await writeFile(join(dir, 'program.ts'), program);
    await run(tsc, ['-p', dir]).catch((error: { readonly stdout: string }) => {
      throw new Error(error.stdout);
    });
    const { stdout } = await run(process.execPath, [join(dir, 'built/program.js'), ...nodes.urls]);
    deepEqual(JSON.parse(stdout), { text: wholeText, whole: wholeText, resumed: 2 });
  } finally {
    await nodes.close();
    await rm(dir, { recursive: true, force: true });
  }
});
