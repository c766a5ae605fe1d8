import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';

export type Source = { readonly path: string; readonly text: string; readonly ast: ts.SourceFile };

const root = process.cwd();

export const read = (folder: string): readonly Source[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      return { path, text, ast: ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true) };
    });

/** `src/engines/simulated/run.ts` -> `engines`; `src/main.ts` -> `main`. */
export const folderOf = (path: string): string => relative('src', path).split('/')[0]!.replace(/\.ts$/, '');

/** Every module that this file names in an import, an export from, or a dynamic import of a literal. */
export function specifiers({ ast }: Source): readonly string[] {
  const found: string[] = [];
  const walk = (node: ts.Node): void => {
    const named =
      (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier
        ? node.moduleSpecifier
        : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
          ? node.arguments[0]
          : undefined;
    if (named !== undefined && ts.isStringLiteral(named)) found.push(named.text);
    ts.forEachChild(node, walk);
  };
  walk(ast);
  return found;
}

export const relativeImports = (source: Source): readonly string[] =>
  specifiers(source)
    .filter((target) => target.startsWith('.'))
    .map((target) => join(dirname(source.path), target));

/** `complain` returns what is wrong with a node, or undefined. */
export function visit(source: Source, complain: (node: ts.Node) => string | undefined): readonly string[] {
  const found: string[] = [];
  const walk = (node: ts.Node): void => {
    const complaint = complain(node);
    if (complaint !== undefined) {
      const line = source.ast.getLineAndCharacterOfPosition(node.getStart(source.ast)).line + 1;
      found.push(`${source.path}:${line} ${complaint}`);
    }
    ts.forEachChild(node, walk);
  };
  walk(source.ast);
  return found;
}
