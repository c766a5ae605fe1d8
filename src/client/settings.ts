import type { Entries } from './entries.ts';
import type { DurableOptions } from './index.ts';

/** The options with every default filled in, and the nodes that all requests share. */
export type Settings = Required<DurableOptions> & { readonly entries: Entries };
