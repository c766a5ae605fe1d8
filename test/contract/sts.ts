import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { outcome, type Exchange } from './exchange.ts';

export const stsExchanges: readonly Exchange[] = [
  {
    title: 'a caller learns its account and who it is in it',
    act: ({ sts }) =>
      outcome(sts.send(new GetCallerIdentityCommand({})), ({ Account = '', Arn = '', UserId = '' }) => [
        /^\d{12}$/.test(Account),
        Arn.split(':').slice(0, 2),
        Arn.split(':')[4] === Account,
        UserId.length > 0,
      ]),
    expected: [true, ['arn', 'aws'], true, true],
  },
];
