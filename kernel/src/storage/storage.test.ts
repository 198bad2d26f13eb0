import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Collection, parseDocument } from './collection.js';
import { search } from './search.js';
import { openTestStorage } from './testing.js';

type Opened = Awaited<ReturnType<typeof openTestStorage>>;
let test: Opened;
beforeAll(async () => {
  test = await openTestStorage({ quotas: { small: { maxRows: 5, maxBytes: 2_000 } } });
});
afterAll(() => test.close());

const ORG = 'org';
const insert = async (collection: Collection, ...docs: object[]) => {
  const prepared = docs.map((doc) => collection.prepare(doc));
  await collection.insert(ORG, prepared);
  return prepared.map(({ id }) => id);
};
const contents = async (collection: Collection) =>
  (await collection.find(ORG, { limit: 1000 })).rows.map(parseDocument).map(({ id: _, version: __, ...rest }) => rest);
const indexesOf = async (collection: Collection) =>
  (
    await test.database.query<{ indexdef: string }>(
      `select indexdef from pg_indexes where schemaname || '.' || tablename = $1 order by 1`,
      [collection.table.name],
    )
  ).map(({ indexdef }) => indexdef);

describe('documents', () => {
  it('are checked, get their defaults, and count their versions', async () => {
    const schema = {
      type: 'object',
      additionalProperties: false,
      required: ['title'],
      properties: { title: { type: 'string' }, stars: { type: 'integer', default: 3 } },
    };
    const notes = await test.storage.open('docs').declare({ name: 'notes', schema });
    const [id] = await insert(notes, { title: 'one' });
    expect(parseDocument((await notes.get(ORG, id!))!)).toEqual({ id, version: 1, title: 'one', stars: 3 });
    const updated = await notes.update(ORG, id!, { set: { stars: 5 }, unset: [] }, 1);
    expect(parseDocument(updated)).toEqual({ id, version: 2, title: 'one', stars: 5 });
    for (const wrong of [{}, { title: 1 }, { title: 'x', more: 1 }, [], 'x', null])
      expect(() => notes.prepare(wrong)).toThrow(expect.objectContaining({ code: 'VALIDATION_FAILED' }));
    await expect(notes.update(ORG, id!, { set: {}, unset: ['title'] }, undefined)).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
    });
    await expect(notes.update(ORG, id!, { set: { stars: 1 }, unset: [] }, 1)).rejects.toMatchObject({
      code: 'CONFLICT',
      extras: { version: 2 },
    });
    await expect(notes.update(ORG, 'none', { set: {}, unset: [] }, undefined)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(notes.delete(ORG, id!, 1)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await notes.delete(ORG, id!, 2)).toBe(true);
    expect(await notes.delete(ORG, id!, undefined)).toBe(false);
  });

  it('refuse what PostgreSQL cannot hold, and keep everything else', async () => {
    const notes = await test.storage.open('docs').declare({ name: 'odd' });
    for (const wrong of ['a\0b', '\ud800', 'x\udfff'])
      expect(() => notes.prepare({ wrong })).toThrow(expect.objectContaining({ code: 'VALIDATION_FAILED' }));
    const odd = {
      text: '\\u0000 \\ud800 "\'$1 \u2028 😀',
      list: [1, [2, null]],
      n: 1e300,
      tiny: 5e-324,
      deep: { a: { b: {} } },
      '': 0,
      "o'k": true,
    };
    await insert(notes, odd);
    expect(await contents(notes)).toEqual([odd]);
    const deep = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`) as unknown;
    expect(() => notes.prepare({ deep })).toThrow(expect.objectContaining({ code: 'VALIDATION_FAILED' }));
    expect(() => notes.prepare({ big: 'x'.repeat(1_100_000) })).toThrow(
      expect.objectContaining({ code: 'BODY_TOO_LARGE' }),
    );
  });

  it('lose no update when many change one', async () => {
    const counters = await test.storage.open('docs').declare({ name: 'counters' });
    await insert(counters, { id: 'c', n: 0 });
    const bump = async () => {
      for (;;) {
        const row = (await counters.get(ORG, 'c'))!;
        const { n } = JSON.parse(row.doc) as { n: number };
        const done = await counters
          .update(ORG, 'c', { set: { n: n + 1 }, unset: [] }, row.version)
          .catch((error: { code: string }) => error.code);
        if (done !== 'CONFLICT') return;
      }
    };
    await Promise.all(Array.from({ length: 8 }, bump));
    expect(await contents(counters)).toEqual([{ n: 8 }]);
  });

  it('written and read many at once are each answered for themselves', async () => {
    const many = await test.storage.open('docs').declare({ name: 'many', indexes: { code: 'unique' } });
    await insert(many, { id: 'd7', code: 'taken' });
    const ids = Array.from({ length: 40 }, (_, n) => `d${n}`);
    const one = (id: string, n: number) => many.insertTogether(ORG, many.prepare({ id, code: n === 11 ? 'taken' : n }));
    const written = await Promise.allSettled(ids.map(one));
    const failed = written.flatMap((outcome, n) =>
      outcome.status === 'rejected' ? [[n, outcome.reason.message]] : [],
    );
    expect(failed).toEqual([
      [7, 'A document with this id (d7) exists in "many".'],
      [11, 'Another document of "many" has the same `code`.'],
    ]);
    const rows = await Promise.all([...ids, 'd3'].map((id) => many.getTogether(ORG, id)));
    expect(rows.map((row) => row?.id)).toEqual([...ids.map((id) => (id === 'd11' ? undefined : id)), 'd3']);
    expect(await Promise.all(ids.map((id) => many.getTogether('other', id)))).toEqual(ids.map(() => undefined));
  });

  it('are apart for each plugin and organisation', async () => {
    const mine = await test.storage.open('mine').declare({ name: 'notes' });
    const theirs = await test.storage.open('theirs').declare({ name: 'notes' });
    const [id] = await insert(mine, { secret: 1 });
    expect(await theirs.get(ORG, id!)).toBeUndefined();
    expect(await mine.get('other', id!)).toBeUndefined();
    expect(await mine.delete('other', id!, undefined)).toBe(false);
    await expect(mine.update('other', id!, { set: {}, unset: [] }, undefined)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect((await mine.find('other', {})).rows).toEqual([]);
  });
});

describe('indexes', () => {
  it('follow the declaration, with what is there already', async () => {
    const own = test.storage.open('changing');
    const first = await own.declare({ name: 'notes' });
    await insert(first, { tag: 'a', title: 'Cats are running' }, { tag: 'b', title: 'a dog' });
    expect(await indexesOf(first)).toHaveLength(1);
    const second = await own.declare({ name: 'notes', indexes: { tag: 'unique', title: 'text', n: 'range' } });
    expect(await indexesOf(second)).toHaveLength(5);
    const hits = await search(test.database, second, ORG, { text: 'cat run' });
    expect(hits.map(({ row }) => parseDocument(row).tag)).toEqual(['a']);
    await expect(insert(second, { tag: 'a' })).rejects.toMatchObject({ code: 'CONFLICT', extras: { field: 'tag' } });
    // A new process finds what the old one has left.
    const reopened = await test
      .reopen()
      .open('changing')
      .declare({ name: 'notes', indexes: { tag: 'unique', title: 'text', n: 'range' } });
    await expect(insert(reopened, { tag: 'a' })).rejects.toMatchObject({ code: 'CONFLICT', extras: { field: 'tag' } });
    const third = await test
      .reopen()
      .open('changing')
      .declare({ name: 'notes', indexes: { tag: 'equality' } });
    expect(await indexesOf(third)).toHaveLength(2);
    await insert(third, { tag: 'a' });
    await expect(own.declare({ name: 'notes', indexes: { tag: 'unique' } })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
  });

  it('are built beside everything else for many documents', async () => {
    const own = test.storage.open('many');
    const plain = await own.declare({ name: 'notes' });
    for (let part = 0; part < 6; part++)
      await insert(
        plain,
        ...Array.from({ length: 1_000 }, (_, n) => ({ n: part * 1_000 + n, title: `word${n % 7}`, e: [n % 10, 1] })),
      );
    const indexed = await own.declare({ name: 'notes', indexes: { n: 'range', title: 'text', e: { vector: 2 } } });
    // Writers and readers go on meanwhile, and what they write is found later.
    const [id] = await insert(indexed, { n: -1, title: 'extraordinary', e: [0, 1] });
    expect(await indexed.get(ORG, id!)).toBeDefined();
    await indexed.table.settled();
    expect((await search(test.database, indexed, ORG, { text: 'word3', k: 1_000 })).length).toBe(858);
    expect((await search(test.database, indexed, ORG, { text: 'extraordinary' })).map(({ row }) => row.id)).toEqual([
      id,
    ]);
    const plan = await test.database.query<Record<string, string>>(
      `explain select id from ${indexed.table.name} where org = 'org' and coalesce(case when jsonb_typeof((doc -> 'n')) = 'number' then (doc -> 'n')::float8 end, 'Infinity'::float8) < 3`,
    );
    expect(JSON.stringify(plan)).toMatch(/Index|Bitmap/);
  });

  it.each(['a b', '', "a'", 'a..b', 'x'.repeat(200)])('refuse the field %j', async (field) => {
    const code = await test.storage
      .open('wrong')
      .declare({ name: 'notes', indexes: { [field]: 'equality' } })
      .catch((error: { code: string }) => error.code);
    expect(code).toBe('VALIDATION_FAILED');
  });
});

describe('search', () => {
  it('finds by text, by vector, by both, and within a filter', async () => {
    const notes = await test.storage.open('search').declare({
      name: 'notes',
      indexes: { title: 'text', body: 'text', lang: 'equality', e: { vector: 3 }, far: { vector: 3, metric: 'l2' } },
    });
    await insert(
      notes,
      { id: 'a', title: 'The quick brown fox', body: 'jumps', e: [1, 0, 0], far: [0, 0, 0], lang: 'en' },
      {
        id: 'b',
        title: 'A lazy dog',
        body: 'sleeps while the fox jumps',
        e: [0.9, 0.1, 0],
        far: [5, 0, 0],
        lang: 'en',
      },
      { id: 'c', title: 'Ein Fuchs', body: 'fox fox fox', e: [0, 1, 0], far: [1, 1, 1], lang: 'de' },
      { id: 'd', title: 'nothing', e: [0, 0, 1], lang: 'de' },
    );
    await notes.insert('other', [notes.prepare({ id: 'x', title: 'fox', e: [1, 0, 0] })]);
    const ids = async (request: Parameters<typeof search>[3]) =>
      (await search(test.database, notes, ORG, request)).map(({ row }) => row.id);
    expect((await ids({ text: 'foxes' })).toSorted()).toEqual(['a', 'b', 'c']);
    expect((await ids({ text: 'fox sleeping' }))[0]).toBe('b');
    expect(await ids({ text: 'fox', where: { lang: 'de' } })).toEqual(['c']);
    expect(await ids({ text: '"brown fox"', k: 1 })).toEqual(['a']);
    expect(await ids({ text: '' })).toEqual([]);
    expect(await ids({ vector: { field: 'e', value: [1, 0, 0] }, k: 3 })).toEqual(['a', 'b', 'c']);
    expect(await ids({ vector: { field: 'far', value: [1, 1, 0] }, k: 2 })).toEqual(['c', 'a']);
    expect(await ids({ vector: { field: 'e', value: [1, 0, 0] }, where: { lang: 'de' }, k: 1 })).toHaveLength(1);
    const [best] = await search(test.database, notes, ORG, {
      text: 'lazy dog',
      vector: { field: 'e', value: [1, 0, 0] },
    });
    expect(best!.row.id).toBe('b');
    await expect(ids({})).rejects.toMatchObject({ code: 'VALIDATION_FAILED' });
    await expect(ids({ vector: [1, 0, 0] })).rejects.toMatchObject({ code: 'VALIDATION_FAILED' });
    await expect(ids({ vector: { field: 'e', value: [1, 0] } })).rejects.toMatchObject({ code: 'VALIDATION_FAILED' });
    expect(() => notes.prepare({ e: [1, 2] })).toThrow(expect.objectContaining({ code: 'VALIDATION_FAILED' }));
    await notes.update(ORG, 'd', { set: { title: 'vixen', e: [1, 0, 0] }, unset: [] }, undefined);
    expect(await ids({ text: 'vixen' })).toEqual(['d']);
    expect((await ids({ vector: { field: 'e', value: [1, 0, 0] }, k: 2 })).toSorted()).toEqual(['a', 'd']);
  });

  it.each([
    ['parentheses', `${'('.repeat(2_000)}fox`],
    ['quotes', '"'.repeat(2_001)],
    ['many words', 'fox dog '.repeat(2_500)],
    ['many other words', Array.from({ length: 3_000 }, (_, n) => `w${n}`).join(' ')],
    ['operators', "':*&|!<-> -- or or -or"],
    ['backslashes', '\\'.repeat(999)],
    ['U+0000 and half a character', 'fox\0\ud83d'],
    ['one long word', 'x'.repeat(9_000)],
  ])('takes any text: %s', async (_, text) => {
    const notes = await test.storage
      .open('texts')
      .declare({ name: 'notes', indexes: { title: ['text', { text: 'simple' }] } });
    expect(Array.isArray(await search(test.database, notes, ORG, { text }))).toBe(true);
  });

  it('agrees with looking at every vector', async () => {
    const random = (() => {
      let seed = 7;
      return () => {
        seed = (seed * 16_807) % 2_147_483_647;
        return seed / 2_147_483_647 - 0.5;
      };
    })();
    const vector = () => Array.from({ length: 8 }, random);
    const points = await test.storage
      .open('search')
      .declare({ name: 'points', indexes: { e: { vector: 8 }, g: 'equality' } });
    const docs = Array.from({ length: 900 }, (_, n) => ({ id: `p${n}`, e: vector(), g: n % 9 }));
    await insert(points, ...docs);
    const cosine = (a: number[], b: number[]) => {
      const dot = (x: number[], y: number[]) => x.reduce((sum, one, at) => sum + one * y[at]!, 0);
      return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
    };
    for (const where of [undefined, { g: 4 }]) {
      const wanted = vector();
      const expected = docs
        .filter(({ g }) => !where || g === where.g)
        .map(({ id, e }) => ({ id, score: cosine(e, wanted) }))
        .toSorted((a, b) => b.score - a.score)
        .slice(0, 10);
      const hits = await search(test.database, points, ORG, { vector: wanted, where, k: 10 });
      expect(hits.map(({ row }) => row.id)).toEqual(expected.map(({ id }) => id));
      for (const [at, { score }] of hits.entries()) expect(score).toBeCloseTo(expected[at]!.score, 4);
    }
  });
});

describe('transactions', () => {
  const open = async (name: string) => {
    const own = test.storage.open('tx');
    return { own, notes: await own.declare({ name, indexes: { tag: 'unique' } }) };
  };
  const begin = (own: Awaited<ReturnType<typeof open>>['own']) => {
    const id = own.begin(ORG, performance.now() + 10_000);
    return { id, tx: own.transaction(id, ORG) };
  };

  it('see what they have written, and nobody else does until they commit', async () => {
    const { own, notes } = await open('seen');
    const { id, tx } = begin(own);
    await tx.insert(notes, [notes.prepare({ id: 'a', n: 1 })]);
    expect(parseDocument((await tx.get(notes, 'a'))!)).toEqual({ id: 'a', version: 1, n: 1 });
    await tx.update(notes, 'a', { set: { n: 2 }, unset: [] }, 1);
    expect((await tx.find(notes, { where: { n: 2 } })).rows).toHaveLength(1);
    expect(await notes.get(ORG, 'a')).toBeUndefined();
    await own.end(id, ORG, true);
    expect(parseDocument((await notes.get(ORG, 'a'))!)).toEqual({ id: 'a', version: 2, n: 2 });
    await expect(tx.get(notes, 'a')).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  it('write nothing when they roll back or fail', async () => {
    const { own, notes } = await open('undone');
    await insert(notes, { tag: 'taken' });
    const before = await test.storage.usage('tx');
    const one = begin(own);
    await one.tx.insert(notes, [notes.prepare({ tag: 'x' })]);
    await one.tx.find(notes, {});
    await own.end(one.id, ORG, false);
    const two = begin(own);
    await two.tx.insert(notes, [notes.prepare({ tag: 'fresh' })]);
    await two.tx.insert(notes, [notes.prepare({ tag: 'taken' })]);
    await expect(own.end(two.id, ORG, true)).rejects.toMatchObject({ code: 'CONFLICT', extras: { field: 'tag' } });
    expect(await contents(notes)).toEqual([{ tag: 'taken' }]);
    expect(await test.storage.usage('tx')).toEqual(before);
  });

  it('notice what others have changed: documents, and new ones that a query would find', async () => {
    const { own, notes } = await open('raced');
    await insert(notes, { id: 'a', n: 1 });
    const one = begin(own);
    await one.tx.update(notes, 'a', { set: { n: 10 }, unset: [] }, undefined);
    await notes.update(ORG, 'a', { set: { n: 2 }, unset: [] }, undefined);
    await expect(own.end(one.id, ORG, true)).rejects.toMatchObject({ code: 'CONFLICT', extras: { retry: true } });
    const two = begin(own);
    expect((await two.tx.find(notes, { where: { n: 7 } })).rows).toEqual([]);
    await two.tx.insert(notes, [notes.prepare({ id: 'b', n: 7 })]);
    await insert(notes, { id: 'c', n: 7 });
    await expect(own.end(two.id, ORG, true)).rejects.toMatchObject({ code: 'CONFLICT', extras: { retry: true } });
    expect(await notes.get(ORG, 'b')).toBeUndefined();
  });

  it('hold nothing while they are open, and end by themselves', async () => {
    const { own, notes } = await open('idle');
    const tx = own.transaction(own.begin(ORG, performance.now() + 30), ORG);
    await tx.insert(notes, [notes.prepare({ id: 'a' })]);
    await insert(notes, { id: 'b' });
    await new Promise((resolve) => setTimeout(resolve, 60));
    await expect(tx.get(notes, 'a')).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    for (let n = 0; n < 32; n++) own.begin(ORG, performance.now() + 10_000);
    expect(() => own.begin(ORG, performance.now() + 10_000)).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
    expect(() => own.transaction('1', 'other')).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
  });
});

describe('quotas', () => {
  it('bound documents and bytes, and give back what is deleted', async () => {
    const own = test.storage.open('small');
    const notes = await own.declare({ name: 'notes' });
    const ids = await insert(notes, ...Array.from({ length: 5 }, (_, n) => ({ n })));
    await expect(insert(notes, { n: 6 })).rejects.toMatchObject({ code: 'STORAGE_QUOTA', status: 413 });
    await notes.delete(ORG, ids[0]!, undefined);
    await expect(
      notes.update(ORG, ids[1]!, { set: { big: 'x'.repeat(3_000) }, unset: [] }, undefined),
    ).rejects.toMatchObject({ code: 'STORAGE_QUOTA' });
    await expect(own.blobs.put(ORG, chunks(3_000), '')).rejects.toMatchObject({ code: 'STORAGE_QUOTA' });
    await insert(notes, { n: 7 });
    await expect(insert(notes, { n: 8 })).rejects.toMatchObject({ code: 'STORAGE_QUOTA' });
    const { rows, bytes } = await test.reopen().usage('small');
    expect(await test.storage.usage('small')).toEqual({ rows, bytes });
    expect({ rows, bytes }).toEqual({ rows: 5, bytes: 35 });
  });
});

async function* chunks(...sizes: number[]): AsyncGenerator<Uint8Array> {
  for (const [at, size] of sizes.entries()) yield new Uint8Array(size).fill(at);
}

describe('blobs', () => {
  const read = async (content: AsyncIterable<Buffer>) => {
    const parts: Buffer[] = [];
    for await (const part of content) parts.push(part);
    return Buffer.concat(parts);
  };

  it.each([[[0]], [[1]], [[262_144]], [[100_000, 200_000, 0, 700_001]]])(
    'of %j bytes come back as they were',
    async (sizes) => {
      const { blobs } = test.storage.open('blobs');
      const whole: Uint8Array[] = [];
      for await (const part of chunks(...sizes)) whole.push(part);
      const bytes = Buffer.concat(whole);
      const info = await blobs.put(ORG, chunks(...sizes), 'x/y');
      expect(info).toEqual({
        sha256: createHash('sha256').update(bytes).digest('hex'),
        size: bytes.length,
        type: 'x/y',
      });
      const found = (await blobs.get(ORG, info.sha256))!;
      expect((await read(found.content)).equals(bytes)).toBe(true);
      expect(await blobs.get('other', info.sha256)).toBeUndefined();
      expect(await test.storage.open('others').blobs.get(ORG, info.sha256)).toBeUndefined();
      // The same again is the same, and takes no room.
      const before = await test.storage.usage('blobs');
      expect(await blobs.put(ORG, chunks(...sizes), 'x/y')).toEqual(info);
      expect(await test.storage.usage('blobs')).toEqual(before);
      expect(await blobs.delete(ORG, info.sha256)).toBe(true);
      expect(await blobs.delete(ORG, info.sha256)).toBe(false);
      expect(await blobs.get(ORG, info.sha256)).toBeUndefined();
    },
  );

  it('leave nothing of an upload that breaks off', async () => {
    const { blobs } = test.storage.open('blobs');
    const broken = async function* () {
      yield new Uint8Array(600_000);
      throw new Error('gone');
    };
    await expect(blobs.put(ORG, broken(), '')).rejects.toThrow('gone');
    expect(await test.database.query('select 1 from storage_blob_chunk')).toEqual([]);
    expect(await test.storage.usage('blobs')).toEqual({ rows: 0, bytes: 0 });
  });
});

describe('purge', () => {
  it('drops what a plugin has, and nothing else', async () => {
    const service = test.reopen();
    const doomed = service.open('doomed');
    const notes = await doomed.declare({ name: 'notes' });
    await insert(notes, { a: 1 });
    await doomed.blobs.put(ORG, chunks(10), '');
    const others = await service.open('spared').declare({ name: 'notes' });
    await insert(others, { a: 1 });
    await service.purge('doomed');
    expect(await contents(notes)).toEqual([]);
    expect(await service.usage('doomed')).toEqual({ rows: 0, bytes: 0 });
    expect(await contents(others)).toEqual([{ a: 1 }]);
    await test.reopen().purge('doomed');
    expect(await test.database.query(`select 1 from storage_collection where plugin = 'doomed'`)).toEqual([]);
  });
});
