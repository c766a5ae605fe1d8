/** The metadata of one instance as a tree of paths, and how AWS answers a walk through it. */

type Leaf = string | (() => string | Promise<string>);
/** A child that is undefined is not there: AWS answers 404 until there is something. */
export type Tree = { readonly [name: string]: Leaf | Tree | undefined };

/** The text under a path of segments: a leaf's value, or a directory's listing; null: nothing there. */
export async function read(tree: Tree, path: readonly string[]): Promise<string | null> {
  let at: Leaf | Tree | undefined = tree;
  for (const [depth, name] of path.entries()) {
    // A slash at the end names a directory and no leaf.
    if (name === '' && depth === path.length - 1 && isTree(at)) break;
    at = isTree(at) && Object.hasOwn(at, name) ? at[name] : undefined;
  }
  if (at === undefined) return null;
  if (isTree(at)) return listing(at);
  return typeof at === 'string' ? at : await at();
}

const isTree = (at: Leaf | Tree | undefined): at is Tree => typeof at === 'object';

const listing = (tree: Tree): string =>
  Object.entries(tree)
    .filter(([, child]) => child !== undefined)
    .map(([name, child]) => (isTree(child) ? `${name}/` : name))
    .sort()
    .join('\n');
