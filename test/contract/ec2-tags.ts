import { CreateTagsCommand, DeleteTagsCommand, DescribeTagsCommand, type Tag } from '@aws-sdk/client-ec2';
import { eventually, launch, settled, tags } from './ec2-talk.ts';
import { outcome, status, type Clients, type Exchange } from './exchange.ts';

/** Gives an exchange a running instance of its own. */
const withInstance =
  (act: (of: Clients, id: string, name: string) => Promise<unknown>): Exchange['act'] =>
  async (of, name) => {
    const [launched] = await launch(of, name, 1);
    await settled(of, name, 1);
    return act(of, launched!.InstanceId!, name);
  };

const write = ({ ec2 }: Clients, id: string, given: Readonly<Record<string, string>>): Promise<unknown> => {
  const Tags = Object.entries(given).map(([Key, Value]) => ({ Key, Value }));
  return outcome(ec2.send(new CreateTagsCommand({ Resources: [id], Tags })), status);
};

const remove = ({ ec2 }: Clients, id: string, Tags?: Tag[]): Promise<unknown> =>
  outcome(
    ec2.send(new DeleteTagsCommand({ Resources: [id], ...(Tags === undefined ? {} : { Tags }) })),
    status,
  );

/** The instance's tags as DescribeTags shows them once it shows as many, less those of the launch. */
async function shown({ ec2 }: Clients, id: string, count: number): Promise<unknown> {
  const Filters = [
    { Name: 'resource-id', Values: [id] },
    { Name: 'resource-type', Values: ['instance'] },
  ];
  const { Tags = [] } = await eventually(
    () => ec2.send(new DescribeTagsCommand({ Filters })),
    (answer) => answer.Tags?.length === count,
  );
  return Object.fromEntries(
    Tags.filter(({ Key }) => Key !== 'Name' && Key !== 'Group').map(({ Key, Value }) => [Key, Value]),
  );
}

export const ec2Tags: readonly Exchange[] = [
  {
    title: 'tags are written, and written over',
    act: withInstance(async (of, id, name) => {
      const first = await write(of, id, { SynktiRole: 'worker', SynktiState: 'here' });
      const second = await write(of, id, { SynktiState: 'left' });
      const seen = await eventually(
        async () => tags((await settled(of, name, 1))[0]),
        ({ SynktiState }) => SynktiState === 'left',
      );
      return [first, second, seen];
    }),
    expected: [200, 200, { Group: 'own', SynktiRole: 'worker', SynktiState: 'left' }],
  },
  {
    title: 'tags are deleted by key, by key and value, and an empty value means empty',
    act: withInstance(async (of, id) => {
      await write(of, id, { a: '1', b: '2', c: '3', d: '' });
      const deleted = await remove(of, id, [
        { Key: 'a' },
        { Key: 'b', Value: 'x' },
        { Key: 'c', Value: '3' },
      ]);
      const emptied = await remove(of, id, [
        { Key: 'b', Value: '' },
        { Key: 'd', Value: '' },
      ]);
      return [deleted, emptied, await shown(of, id, 3)];
    }),
    expected: [200, 200, { b: '2' }],
  },
  {
    title: 'deleting without naming a tag deletes them all',
    act: withInstance(async (of, id) => {
      await write(of, id, { a: '1' });
      const deleted = await remove(of, id);
      return [deleted, await shown(of, id, 0)];
    }),
    expected: [200, {}],
  },
  {
    title: 'deleting a tag that is not there is no error',
    act: withInstance((of, id) => remove(of, id, [{ Key: 'none' }])),
    expected: 200,
  },
  {
    title: 'tags are listed by key and by value',
    act: withInstance(async ({ ec2, ...of }, id, name) => {
      await write({ ec2, ...of }, id, { SynktiPeerId: name });
      await shown({ ec2, ...of }, id, 3);
      const where = (Name: string, value: string): Promise<unknown> =>
        outcome(
          ec2.send(
            new DescribeTagsCommand({
              Filters: [
                { Name, Values: [value] },
                { Name: 'resource-id', Values: [id] },
              ],
            }),
          ),
          ({ Tags = [] }) => Tags.map(({ Key, ResourceType }) => [Key, ResourceType]),
        );
      return [
        await where('key', 'SynktiPeerId'),
        await where('value', name),
        await where('key', 'Synkti*'),
        await where('key', 'none'),
      ];
    }),
    expected: [
      [['SynktiPeerId', 'instance']],
      [
        ['Name', 'instance'],
        ['SynktiPeerId', 'instance'],
      ],
      [['SynktiPeerId', 'instance']],
      [],
    ],
  },
  {
    title: 'a key that begins with aws: is reserved',
    act: withInstance((of, id) => write(of, id, { 'aws:mine': '1' })),
    expected: { refused: 'InvalidParameterValue', status: 400 },
  },
  {
    title: 'there is a bound on the tags of one instance',
    act: withInstance((of, id) =>
      write(of, id, Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`k${n}`, '']))),
    ),
    expected: { refused: 'TagLimitExceeded', status: 400 },
  },
  {
    title: 'an instance that there is not cannot be tagged',
    act: (of) => write(of, 'i-0123456789abcdef0', { a: '1' }),
    expected: { refused: 'InvalidInstanceID.NotFound', status: 400 },
  },
  {
    title: 'without a tag there is nothing to write',
    act: withInstance((of, id) => write(of, id, {})),
    expected: { refused: 'MissingParameter', status: 400 },
  },
];
