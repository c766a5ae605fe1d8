import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { add, addEvery, noBuckets, remove } from '../../src/registry/bucket-set.ts';
import { bucketCount } from '../../src/registry/view-hash.ts';

const bucket = fc.integer({ min: 0, max: bucketCount - 1 });
const act = fc.oneof(
  fc.record({ type: fc.constant('add' as const), bucket }),
  fc.record({ type: fc.constant('remove' as const), bucket }),
  fc.constant({ type: 'add every' as const }),
);

test('[G10] a set of buckets holds what a Set would, whatever is put in and taken out', () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 100 }), (acts) => {
      const set = noBuckets();
      const model = new Set<number>();
      const every = Array.from({ length: bucketCount }, (_, one) => one);
      for (const one of acts) {
        if (one.type === 'remove') equal(remove(set, one.bucket), model.delete(one.bucket));
        else if (one.type === 'add') (add(set, one.bucket), model.add(one.bucket));
        else (addEvery(set), every.forEach((each) => model.add(each)));
      }
      deepEqual(
        every.filter((each) => remove(set, each)),
        every.filter((each) => model.has(each)),
      );
    }),
  );
});
