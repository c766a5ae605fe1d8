/**
 * unknown: listed, never met. alive: connected and heard. suspect: not usable just now, being wrong is cheap.
 * dead: its process is gone. left: it said goodbye.
 */
export type Health = 'unknown' | 'alive' | 'suspect' | 'dead' | 'left';

export type Endpoint = { readonly host: string; readonly port: number };
