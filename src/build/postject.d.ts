declare module 'postject' {
  /** Puts `blob` into the executable `file`, in place. */
  export function inject(
    file: string,
    resource: string,
    blob: Buffer,
    options: { readonly sentinelFuse: string },
  ): Promise<void>;
}
