import {
  GetParameterCommand,
  GetParametersByPathCommand,
  GetParametersCommand,
  PutParameterCommand,
  type PutParameterCommandInput,
} from '@aws-sdk/client-ssm';
import { outcome, type Clients, type Exchange } from './exchange.ts';

const put = (
  { ssm }: Clients,
  Name: string,
  more: Omit<PutParameterCommandInput, 'Name'>,
): Promise<unknown> =>
  outcome(ssm.send(new PutParameterCommand({ Name, ...more })), ({ Version }) => Version);

export const ssmExchanges: readonly Exchange[] = [
  {
    title: 'a parameter is read back with its type and version',
    act: async (of, name) => {
      const version = await put(of, `/${name}/a`, { Value: 'one', Type: 'String' });
      const { Parameter } = await of.ssm.send(new GetParameterCommand({ Name: `/${name}/a` }));
      return [version, Parameter?.Value, Parameter?.Type, Parameter?.Version, Parameter?.DataType];
    },
    expected: [1, 'one', 'String', 1, 'text'],
  },
  {
    title: 'a parameter is written over only when told to, and old versions can be read',
    act: async (of, name) => {
      const Name = `/${name}/a`;
      const first = await put(of, Name, { Value: 'one', Type: 'String' });
      const refused = await put(of, Name, { Value: 'two', Type: 'String' });
      const second = await put(of, Name, { Value: 'two', Type: 'String', Overwrite: true });
      const { Parameter: now } = await of.ssm.send(new GetParameterCommand({ Name }));
      const { Parameter: old } = await of.ssm.send(new GetParameterCommand({ Name: `${Name}:1` }));
      return [first, refused, second, now?.Value, old?.Value];
    },
    expected: [1, { refused: 'ParameterAlreadyExists', status: 400 }, 2, 'two', 'one'],
  },
  {
    title: 'a secure string shows itself only when asked to decrypt',
    act: async (of, name) => {
      const Name = `/${name}/secret`;
      await put(of, Name, { Value: 'hf_token', Type: 'SecureString' });
      const closed = await of.ssm.send(new GetParameterCommand({ Name }));
      const open = await of.ssm.send(new GetParameterCommand({ Name, WithDecryption: true }));
      return [closed.Parameter?.Value?.includes('hf_token'), open.Parameter?.Value, open.Parameter?.Type];
    },
    expected: [false, 'hf_token', 'SecureString'],
  },
  {
    title: 'a parameter that is not there is missing by name',
    act: (of, name) =>
      outcome(of.ssm.send(new GetParameterCommand({ Name: `/${name}/none` })), () => 'found'),
    expected: { refused: 'ParameterNotFound', status: 400 },
  },
  {
    title: 'of several parameters those that are there are returned and the others named',
    act: async (of, name) => {
      await put(of, `/${name}/a`, { Value: 'one', Type: 'String' });
      const Names = [`/${name}/a`, `/${name}/none`];
      const answer = await of.ssm.send(new GetParametersCommand({ Names }));
      return [
        answer.Parameters?.map(({ Value }) => Value),
        answer.InvalidParameters?.map((one) => one.endsWith('/none')),
      ];
    },
    expected: [['one'], [true]],
  },
  {
    title: 'a path lists what lies directly below it, or all of it',
    act: async (of, name) => {
      await put(of, `/${name}/a`, { Value: '1', Type: 'String' });
      await put(of, `/${name}/b/c`, { Value: '2', Type: 'String' });
      const below = (Recursive: boolean): Promise<unknown> =>
        outcome(
          of.ssm.send(new GetParametersByPathCommand({ Path: `/${name}`, Recursive })),
          ({ Parameters = [] }) => Parameters.map(({ Name }) => Name?.slice(name.length + 1)).sort(),
        );
      return [await below(false), await below(true)];
    },
    expected: [['/a'], ['/a', '/b/c']],
  },
  {
    title: 'a path is read in pages',
    act: async (of, name) => {
      for (const leaf of ['a', 'b', 'c']) await put(of, `/${name}/${leaf}`, { Value: leaf, Type: 'String' });
      const Path = `/${name}`;
      const one = await of.ssm.send(new GetParametersByPathCommand({ Path, MaxResults: 2 }));
      const NextToken = one.NextToken!;
      const two = await of.ssm.send(new GetParametersByPathCommand({ Path, MaxResults: 2, NextToken }));
      return [...one.Parameters!, ...two.Parameters!].map(({ Value }) => Value).sort();
    },
    expected: ['a', 'b', 'c'],
  },
];
