/**
 * The query protocol of EC2, STS and Auto Scaling: a form with an `Action` in, XML out. Lists are numbered fields
 * (`Filter.1.Name`, `Filter.1.Value.2`); Auto Scaling and STS put a `.member` in between (`Tags.member.1.Key`).
 */
import { AwsError } from './aws-error.ts';
import type { Answer, Api, Call } from './call.ts';
import { xml, type XmlNode } from './xml.ts';

export type Fields = ReadonlyMap<string, string>;

/** Returns the children of the response's root (`ec2`) or of its `<Action>Result` (`query`). */
export type QueryOperation = (
  fields: Fields,
  call: Call,
) => Readonly<Record<string, XmlNode>> | Promise<Readonly<Record<string, XmlNode>>>;

export function queryApi(options: {
  readonly name: Api['name'];
  readonly dialect: 'ec2' | 'query';
  readonly namespace: string;
  readonly operations: Readonly<Record<string, QueryOperation>>;
}): Api {
  const actionOf = (call: Call): string => new URLSearchParams(call.text).get('Action') ?? '';
  const known = (action: string): boolean => Object.hasOwn(options.operations, action);

  return {
    name: options.name,
    dialect: options.dialect,
    operation: (call) => (known(actionOf(call)) ? actionOf(call) : 'Unknown'),
    async answer(call) {
      const fields: Fields = new Map(new URLSearchParams(call.text));
      const action = actionOf(call);
      if (!known(action))
        throw new AwsError(400, 'InvalidAction', `The action ${action} is not valid for this web service.`);
      const content = await options.operations[action]!(fields, call);
      return rendered(options, action, content, call.requestId);
    },
  };
}

function rendered(
  api: { readonly dialect: 'ec2' | 'query'; readonly namespace: string },
  action: string,
  content: Readonly<Record<string, XmlNode>>,
  requestId: string,
): Answer {
  const inside: Readonly<Record<string, XmlNode>> =
    api.dialect === 'ec2'
      ? { requestId, ...content }
      : { [`${action}Result`]: content, ResponseMetadata: { RequestId: requestId } };
  const body = xml({ [`${action}Response`]: { '@xmlns': api.namespace, ...inside } });
  return { status: 200, headers: { 'content-type': 'text/xml;charset=UTF-8' }, body };
}

/** The values of `name.1`, `name.2`, … (or `name.member.1`, …) in the order of their numbers. */
export const listed = (fields: Fields, name: string): readonly string[] =>
  records(fields, name).map((record) => record.get('') ?? '');

/**
 * The structures `name.1.*`, `name.2.*`, … in the order of their numbers, each as the fields behind its number;
 * a plain value has the empty name.
 */
export function records(fields: Fields, name: string): readonly Fields[] {
  const numbered = new Map<number, Map<string, string>>();
  const pattern = new RegExp(`^${name.replaceAll('.', '\\.')}\\.(?:member\\.)?(\\d+)(?:\\.(.*))?$`);
  for (const [field, value] of fields) {
    const found = pattern.exec(field);
    if (found === null) continue;
    const number = Number(found[1]);
    const record = numbered.get(number) ?? new Map<string, string>();
    record.set(found[2] ?? '', value);
    numbered.set(number, record);
  }
  return [...numbered].sort(([a], [b]) => a - b).map(([, record]) => record);
}
