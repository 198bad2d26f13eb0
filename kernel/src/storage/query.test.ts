import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Collection } from './collection.js';
import { parseDocument } from './collection.js';
import { openTestStorage } from './testing.js';

type Opened = Awaited<ReturnType<typeof openTestStorage>>;
let test: Opened;
let count = 0;
beforeAll(async () => {
  test = await openTestStorage();
});
afterAll(() => test.close());

const RUNS = { numRuns: 150 };
const INDEXES = { plain: {}, indexed: { a: 'equality', b: 'range', 'c.d': ['equality', 'range'] } } as const;

const text = fc.oneof(
  fc.constantFrom('', 'a', 'B', 'b', 'ä', 'Z', '😀', 'ab', "o'k", '\\'),
  fc.string({ maxLength: 4, unit: 'grapheme' }).filter((t) => t.isWellFormed() && !t.includes('\0')),
);
const number = fc.oneof(
  fc.constantFrom(0, 1, -1, 1.5, 1e21, -1e-7),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (Object.is(n, -0) ? 0 : n)),
);
const scalar = fc.oneof(text, number, fc.boolean(), fc.constant(null));
const value = fc.oneof({ weight: 4, arbitrary: scalar }, { weight: 1, arbitrary: fc.array(scalar, { maxLength: 3 }) });
const document = fc.record(
  { a: value, b: value, c: fc.oneof(fc.record({ d: value }, { requiredKeys: [] }), scalar) },
  { requiredKeys: [] },
);
type Doc = Record<string, unknown>;
const path = fc.constantFrom('a', 'b', 'c.d', 'nowhere');

const comparable = fc.oneof(text, number);
const leaf = fc
  .oneof(
    fc.tuple(path, scalar),
    fc.tuple(path, fc.record({ eq: scalar })),
    fc.tuple(path, fc.record({ ne: scalar })),
    fc.tuple(path, fc.record({ in: fc.array(scalar, { maxLength: 3 }) })),
    fc.tuple(path, fc.record({ nin: fc.array(scalar, { maxLength: 3 }) })),
    fc.tuple(
      path,
      fc.record({ gt: comparable, lte: comparable }, { requiredKeys: [] }).filter((o) => Object.keys(o).length > 0),
    ),
    fc.tuple(
      path,
      fc.record({ gte: comparable, lt: comparable }, { requiredKeys: [] }).filter((o) => Object.keys(o).length > 0),
    ),
    fc.tuple(path, fc.record({ exists: fc.boolean() })),
    fc.tuple(path, fc.record({ startsWith: text })),
    fc.tuple(path, fc.record({ contains: scalar })),
  )
  .map(([field, filter]) => ({ [field]: filter }) as Doc);
const { where } = fc.letrec<{ where: Doc }>((tie) => ({
  where: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    leaf,
    fc.tuple(leaf, leaf).map(([one, other]) => ({ ...one, ...other })),
    fc.array(tie('where'), { maxLength: 3 }).map((and) => ({ and })),
    fc.array(tie('where'), { maxLength: 3 }).map((or) => ({ or })),
    tie('where').map((not) => ({ not })),
  ),
}));

const at = (doc: Doc, field: string): unknown =>
  field
    .split('.')
    .reduce<unknown>(
      (one, part) => (typeof one === 'object' && one !== null && !Array.isArray(one) ? (one as Doc)[part] : undefined),
      doc,
    );

/** By code points, as the "C" collation orders UTF-8. */
const compareTexts = (x: string, y: string): number => Buffer.compare(Buffer.from(x), Buffer.from(y));

/** What `where` means, in JavaScript. */
function matches(doc: Doc, filter: Doc): boolean {
  return Object.entries(filter).every(([key, operand]) => {
    if (key === 'and') return (operand as Doc[]).every((one) => matches(doc, one));
    if (key === 'or') return (operand as Doc[]).some((one) => matches(doc, one));
    if (key === 'not') return !matches(doc, operand as Doc);
    const found = at(doc, key);
    if (typeof operand !== 'object' || operand === null) return same(found, operand);
    return Object.entries(operand as Doc).every(([operator, given]) => holds(found, operator, given));
  });
}

const same = (found: unknown, given: unknown): boolean =>
  given === null ? found === undefined || found === null : found === given;

function holds(found: unknown, operator: string, given: unknown): boolean {
  switch (operator) {
    case 'eq':
      return same(found, given);
    case 'ne':
      return !same(found, given);
    case 'in':
      return (given as unknown[]).some((one) => same(found, one));
    case 'nin':
      return !(given as unknown[]).some((one) => same(found, one));
    case 'exists':
      return (found !== undefined) === given;
    case 'startsWith':
      return typeof found === 'string' && found.startsWith(given as string);
    case 'contains':
      if (Array.isArray(found)) return found.includes(given);
      return typeof found === 'string' && typeof given === 'string' && found.includes(given);
    default: {
      if (typeof found !== typeof given || (typeof found !== 'number' && typeof found !== 'string')) return false;
      const order = typeof found === 'number' ? found - (given as number) : compareTexts(found, given as string);
      return { gt: order > 0, gte: order >= 0, lt: order < 0, lte: order <= 0 }[operator]!;
    }
  }
}

async function filled(docs: readonly Doc[], indexes: object): Promise<Collection> {
  const collection = await test.storage
    .open('queries')
    .declare({ name: `c${count++}`, indexes: indexes as Record<string, 'equality'> });
  if (docs.length > 0)
    await collection.insert(
      'org',
      docs.map((doc) => collection.prepare(doc)),
    );
  // What belongs to others is never found.
  await collection.insert('other', [collection.prepare({ a: 1 })]);
  return collection;
}

async function all(collection: Collection, request: object): Promise<Doc[]> {
  const found: Doc[] = [];
  let cursor: string | undefined;
  do {
    const page = await collection.find('org', { ...request, ...(cursor !== undefined && { cursor }) });
    found.push(...page.rows.map(parseDocument));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return found;
}

const plain = ({ id: _, version: __, ...doc }: Doc): Doc => doc;

describe.each(Object.entries(INDEXES))('a %s collection', (_, indexes) => {
  it('finds what the filter means, and its opposite finds the rest', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(document, { maxLength: 12 }),
        fc.array(where, { minLength: 1, maxLength: 6 }),
        async (docs, filters) => {
          const collection = await filled(docs, indexes);
          const stored = await all(collection, {});
          expect(stored.map(plain)).toEqual(docs);
          for (const filter of filters) {
            const expected = stored.filter((doc) => matches(doc, filter));
            expect(await all(collection, { where: filter, limit: 5 })).toEqual(expected);
            expect(await collection.count('org', { not: filter })).toBe(docs.length - expected.length);
          }
        },
      ),
      RUNS,
    );
  });

  it('is walked through in order, page by page, each document once', async () => {
    const orders = fc.uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c.d'), fc.constantFrom('asc', 'desc')), {
      selector: ([field]) => field,
      maxLength: 3,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(document, { maxLength: 15 }),
        orders,
        fc.integer({ min: 1, max: 6 }),
        async (docs, order, limit) => {
          const collection = await filled(docs, indexes);
          const orderBy = order.map(([field, direction]) => ({ [field]: direction }));
          const found = await all(collection, { orderBy, limit });
          expect(found).toEqual(sorted(await all(collection, {}), order as [string, 'asc' | 'desc'][]));
        },
      ),
      RUNS,
    );
  });
});

/** Numbers, then texts, then everything else; the id decides at last. */
function sorted(docs: Doc[], order: [string, 'asc' | 'desc'][]): Doc[] {
  const last = order.at(-1)?.[1] ?? 'asc';
  return docs.toSorted((x, y) => {
    for (const [field, direction] of order) {
      const by = compareKeys(at(x, field), at(y, field));
      if (by !== 0) return direction === 'asc' ? by : -by;
    }
    const by = compareTexts(x.id as string, y.id as string);
    return last === 'asc' ? by : -by;
  });
}

function compareKeys(x: unknown, y: unknown): number {
  const rank = (one: unknown) => (typeof one === 'number' ? 0 : typeof one === 'string' ? 1 : 2);
  if (rank(x) !== rank(y)) return rank(x) - rank(y);
  if (rank(x) === 0) return (x as number) < (y as number) ? -1 : Number((x as number) > (y as number));
  return rank(x) === 1 ? compareTexts(x as string, y as string) : 0;
}

describe('queries', () => {
  it.each([
    ['no object', 5],
    ['an unknown operator', { a: { like: 'x' } }],
    ['an operator of Object', { a: { constructor: 1 } }],
    ['a field that is none', { "a'; drop table x; --": 1 }],
    ['an object as value', { a: { eq: {} } }],
    ['a list for `and`', { and: {} }],
    ['no operator', { a: {} }],
    ['U+0000', { a: 'x\0' }],
    ['half a character', { a: { in: ['\ud800'] } }],
    ['a comparison with a boolean', { a: { gt: true } }],
    ['too deep', Array.from({ length: 20 }).reduce<Doc>((inner) => ({ not: inner }), { a: 1 })],
    ['too many', { or: Array.from({ length: 300 }, () => ({ a: 1 })) }],
  ])('refuse a filter with %s', async (_, filter) => {
    const collection = await filled([], {});
    await expect(collection.find('org', { where: filter })).rejects.toMatchObject({ code: 'VALIDATION_FAILED' });
  });

  it('refuse a cursor that is not theirs', async () => {
    const collection = await filled([{ a: 1 }, { a: 2 }, { a: 3 }], {});
    const { nextCursor } = await collection.find('org', { orderBy: 'a', limit: 1 });
    await expect(collection.find('org', { orderBy: 'b', cursor: nextCursor! })).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
    });
    for (const cursor of [
      '',
      'x',
      'W10',
      Buffer.from('[1,2,3]').toString('base64url'),
      Buffer.from('{}').toString('base64url'),
    ])
      await expect(collection.find('org', { orderBy: 'a', cursor })).rejects.toMatchObject({
        code: 'VALIDATION_FAILED',
      });
  });

  it('keep a page within its size', async () => {
    const big = 'x'.repeat(900_000);
    const collection = await filled(
      Array.from({ length: 8 }, (_, n) => ({ n, big })),
      {},
    );
    const first = await collection.find('org', { limit: 100 });
    expect(first.rows).toHaveLength(4);
    expect(await all(collection, { limit: 100 })).toHaveLength(8);
  });

  it('sort and find long texts by an index', async () => {
    const long = (end: string) => `${'x'.repeat(5_000)}${end}`;
    const collection = await filled(
      ['b', 'a', 'c'].map((end) => ({ t: long(end) })),
      { t: ['range', 'equality', 'unique'] },
    );
    expect(await all(collection, { where: { t: { gt: long('a') } } })).toHaveLength(2);
    expect(await all(collection, { where: { t: long('b') } })).toHaveLength(1);
    await expect(collection.insert('org', [collection.prepare({ t: long('c') })])).rejects.toMatchObject({
      code: 'CONFLICT',
    });
  });
});
