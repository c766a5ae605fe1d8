/**
 * Leaves out of the bundle what nobody here calls and esbuild cannot know to be useless, because it costs an idle node
 * 80 MB: a script's unused parts are compiled, run and kept like all others.
 *
 *   AWS SDK   Its index binds all calls of a service together, 823 for EC2. An import of it by name goes to the files of
 *             those names instead; a name that is missing in the table below stops the build.
 *             Its schemas are arrays with computed keys, which could have side effects and have none.
 *   zod       Brings its messages in fifty languages.
 *
 * Only bundles are changed by this: run from source, everything is what the package says.
 */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Plugin } from 'esbuild';

/** What we import of each client, as files of its `dist-es`. */
const used: Readonly<Record<string, readonly string[]>> = {
  '@aws-sdk/client-ec2': [
    'EC2Client',
    'commands/CreateTagsCommand',
    'commands/DeleteTagsCommand',
    'pagination/DescribeInstancesPaginator',
  ],
  '@aws-sdk/client-s3': ['S3Client', 'commands/GetObjectCommand', 'commands/PutObjectCommand'],
};

export const slim: Plugin = {
  name: 'slim',
  setup(build) {
    build.onResolve({ filter: /^@aws-sdk\/client-/ }, ({ path, kind }) =>
      used[path] === undefined || kind !== 'import-statement'
        ? undefined
        : { path, namespace: 'used', sideEffects: false },
    );
    build.onLoad({ filter: /.*/, namespace: 'used' }, ({ path }) => ({
      contents: (used[path] ?? [])
        .map(
          (file) =>
            `export * from ${JSON.stringify(resolve('node_modules', path, 'dist-es', `${file}.js`))};`,
        )
        .join('\n'),
      resolveDir: process.cwd(),
    }));

    build.onLoad({ filter: /@aws-sdk\/client-[^/]+\/dist-es\/schemas\/[^/]+\.js$/ }, async ({ path }) => ({
      contents: withPureArrays(await readFile(path, 'utf8')),
    }));

    build.onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({ contents: 'export {};' }));
  },
};

/** `var A = [...];` becomes `var A = (() => [...])();` with the mark that nobody misses it when nobody reads it. */
const withPureArrays = (schemas: string): string =>
  schemas.replace(
    /^((?:export )?var \w+\$? = )(\[[^]*?\]);$/gm,
    (_, declared: string, array: string) => `${declared}/* @__PURE__ */ (() => ${array})();`,
  );
