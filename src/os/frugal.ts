/**
 * Makes the C library give memory back. Its allocator keeps a pool for each of a dozen threads, and raises its own
 * threshold for returning what is free with every large block that is freed: an idle node holds 15 MB that way. The
 * allocator reads its settings when a program starts and never again, so the program starts once more, in the same
 * process and with everything that it was given, before it has opened anything: 40 ms once in a node's life.
 *
 * One pool is enough: two threads of ours allocate, and V8 takes its heaps from the kernel itself.
 */
const settings = { MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072' } as const;

type Program = Pick<NodeJS.Process, 'env' | 'execPath' | 'argv0' | 'argv' | 'execve'>;

/** Returns when the settings are in force, or when somebody has chosen others; what we start does not inherit them. */
export function startFrugally(program: Program): void {
  const { env } = program;
  const names = Object.keys(settings) as (keyof typeof settings)[];
  if (names.every((name) => env[name] === undefined))
    return program.execve?.(program.execPath, [program.argv0, ...program.argv.slice(2)], {
      ...env,
      ...settings,
    });
  if (names.every((name) => env[name] === settings[name])) for (const name of names) delete env[name];
}
