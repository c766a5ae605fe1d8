/**
 * Who reads what another file exports: by an import of that name from that file, so that an equal name elsewhere is no
 * reader. A module that is imported as a whole is read where a name is taken from it, and in all its names where it is
 * handed on; of one that is imported while the program runs, each name counts that the importing file mentions.
 */
import { dirname, join } from 'node:path';
import ts from 'typescript';
import type { Source } from './sources.ts';

/** As `path name`, the path of the file that exports it. */
export function exportsOf(source: Source): readonly string[] {
  return source.ast.statements.filter(isExported).flatMap((node) => {
    const names = ts.isVariableStatement(node)
      ? node.declarationList.declarations.map(({ name }) => name.getText(source.ast))
      : [(node as ts.FunctionDeclaration).name?.text ?? ''];
    return names.map((name) => `${source.path} ${name}`);
  });
}

const isExported = (node: ts.Node): boolean =>
  ts.canHaveModifiers(node) &&
  ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true;

/** Of these exports, as `exportsOf` tells them, those that no source reads. */
export function unread(exported: readonly string[], sources: readonly Source[]): readonly string[] {
  const read = new Set<string>();
  const whole: { readonly path: string; readonly by: Source }[] = [];
  for (const source of sources) {
    for (const statement of source.ast.statements)
      if (ts.isImportDeclaration(statement)) note(statement, source, read);
    for (const path of importedLate(source)) whole.push({ path, by: source });
  }
  return exported.filter((one) => {
    const [path = '', name = ''] = one.split(' ');
    const isLate = whole.some((late) => late.path === path && mentions(late.by, name));
    return !isLate && !read.has(one) && !read.has(`${path} *`);
  });
}

function note(
  { moduleSpecifier, importClause }: ts.ImportDeclaration,
  source: Source,
  read: Set<string>,
): void {
  const path = join(dirname(source.path), (moduleSpecifier as ts.StringLiteral).text);
  const bindings = importClause?.namedBindings;
  if (bindings === undefined) return;
  if (ts.isNamedImports(bindings)) {
    for (const { propertyName, name } of bindings.elements)
      read.add(`${path} ${(propertyName ?? name).text}`);
    return;
  }
  for (const name of takenFrom(bindings.name.text, source)) read.add(`${path} ${name}`);
}

/** `*`: the module is handed on. */
function takenFrom(module: string, { ast }: Source): readonly string[] {
  const taken: string[] = [];
  const walk = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && node.text === module && !ts.isNamespaceImport(node.parent)) {
      const { parent } = node;
      if (ts.isPropertyAccessExpression(parent))
        taken.push(parent.expression === node ? parent.name.text : '');
      else taken.push(ts.isQualifiedName(parent) ? parent.right.text : '*');
    }
    ts.forEachChild(node, walk);
  };
  walk(ast);
  return taken;
}

const importedLate = ({ text, path }: Source): readonly string[] =>
  [...text.matchAll(/\bimport\('(\.[^']+)'\)/g)].map(([, target]) => join(dirname(path), target!));

const mentions = ({ text }: Source, name: string): boolean => new RegExp(`\\b${name}\\b`).test(text);
