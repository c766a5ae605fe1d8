import { deepEqual, notDeepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { motoDeviations } from './deviations.ts';
import { ec2AutoScaling } from './ec2-autoscaling.ts';
import { ec2Instances } from './ec2-instances.ts';
import { ec2Tags } from './ec2-tags.ts';
import type { Exchange } from './exchange.ts';
import { s3Buckets } from './s3-buckets.ts';
import { s3Checksums } from './s3-checksums.ts';
import { s3Multipart } from './s3-multipart.ts';
import { s3Objects } from './s3-objects.ts';
import { ssmExchanges } from './ssm.ts';
import { stsExchanges } from './sts.ts';
import { openLocalCloud, openMoto } from './targets.ts';

const exchanges: readonly Exchange[] = [
  ...s3Buckets,
  ...s3Objects,
  ...s3Multipart,
  ...s3Checksums,
  ...ssmExchanges,
  ...stsExchanges,
  ...ec2Instances,
  ...ec2Tags,
  ...ec2AutoScaling,
];
const exchangeMs = 30_000;
const nameOf = (exchange: Exchange): string => `contract-${exchanges.indexOf(exchange)}`;

test('the local cloud keeps the contract', async (suite) => {
  await using target = await openLocalCloud();
  for (const exchange of exchanges)
    await suite.test(exchange.title, { timeout: exchangeMs }, async () => {
      deepEqual(await exchange.act(target.clients, nameOf(exchange)), exchange.expected);
    });
});

test('moto keeps the contract, but for what is known', async (suite) => {
  const moto = await openMoto();
  if (typeof moto === 'string') {
    suite.skip(moto);
    return;
  }
  await using target = moto;
  for (const exchange of exchanges) {
    const reason = motoDeviations[exchange.title];
    const title = reason === undefined ? exchange.title : `${exchange.title} (not by moto: ${reason})`;
    await suite.test(title, { timeout: exchangeMs }, async () => {
      const seen = await exchange.act(target.clients, nameOf(exchange));
      if (reason === undefined) deepEqual(seen, exchange.expected);
      else notDeepEqual(seen, exchange.expected, 'moto has learned this: delete the deviation');
    });
  }
});

test('every known deviation is of an exchange that there is', () => {
  const titles = exchanges.map(({ title }) => title);
  deepEqual(
    Object.keys(motoDeviations).filter((title) => !titles.includes(title)),
    [],
  );
  deepEqual(
    titles.filter((title, at) => titles.indexOf(title) !== at),
    [],
  );
});
