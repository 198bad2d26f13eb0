import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ChurnMap } from './churn-map.js';

const operation = fc.record({
  what: fc.constantFrom('set', 'delete'),
  key: fc.integer({ min: 0, max: 5 }),
  value: fc.option(fc.string(), { nil: undefined }),
});

it('holds what a Map holds, in its order', () => {
  fc.assert(
    fc.property(fc.array(operation), (operations) => {
      const model = new Map<number, string | undefined>();
      const map = new ChurnMap<number, string | undefined>();
      for (const { what, key, value } of operations) {
        if (what === 'delete') expect(map.delete(key)).toBe(model.delete(key));
        else {
          // A value set anew goes to the end, other than in a Map.
          model.delete(key);
          model.set(key, value);
          map.set(key, value);
        }
        expect(map.has(key)).toBe(model.has(key));
        expect(map.get(key)).toBe(model.get(key));
        expect(map.size).toBe(model.size);
      }
      expect([...map.values()]).toEqual([...model.values()]);
    }),
  );
});
