/** The XML of AWS: elements only, text kept as it is, lists as repeated elements. */
import { XMLBuilder, XMLParser, XMLValidator } from 'fast-xml-parser';

/** An element's content: text, children by name (`@name` is an attribute), or one entry per repetition. */
export type XmlNode =
  string | number | boolean | readonly XmlNode[] | { readonly [name: string]: XmlNode | undefined };

const builder = new XMLBuilder({ ignoreAttributes: false, attributeNamePrefix: '@' });

/** Writes a document whose one root is the one key of `root`. An undefined child is left out. */
export const xml = (root: { readonly [name: string]: XmlNode }): string =>
  '<?xml version="1.0" encoding="UTF-8"?>\n' + builder.build(root);

/**
 * Reads a document into the content of its root element; null when it is not XML or has another root. Elements
 * named in `lists` are arrays even when they occur once. Entities of a DOCTYPE are not expanded.
 */
export function parseXml(
  text: string,
  options: { readonly root: string; readonly lists: readonly string[] },
): Readonly<Record<string, unknown>> | null {
  if (XMLValidator.validate(text) !== true) return null;
  const parser = new XMLParser({
    parseTagValue: false,
    trimValues: false,
    ignoreAttributes: true,
    removeNSPrefix: true,
    htmlEntities: true,
    isArray: (name) => options.lists.includes(name),
  });
  const root = (parser.parse(text) as Record<string, unknown>)[options.root];
  if (root === '') return {};
  return typeof root === 'object' ? (root as Record<string, unknown>) : null;
}
