import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pluginSource, writePlugin, type PluginOnDisk } from '../../../test/support/plugin-folder.js';
import { type TestedPlugin, testPlugin } from './index.js';

const SETUP = `
  const schema = Type.Object({ title: Type.String(), tag: Type.Optional(Type.String()), n: Type.Number({ default: 0 }), e: Type.Optional(Type.Array(Type.Number())) });
  const notes = storage.collection('notes', { schema, indexes: { tag: 'unique', n: 'range', title: 'text', e: { vector: 3 } } });
  const counters = storage.collection('counters');
  const told = async (run) => { try { return { value: (await run()) ?? null }; } catch (error) { return { code: error.code, extras: error.extras }; } };
  http.post('/run', { timeoutMs: 20000 }, async ({ body }) => {
    const { method, args } = body;
    return told(() => notes[method](...args));
  });
  http.post('/removed', async ({ body }) => told(() => notes.update(body.id, { tag: undefined })));
  http.post('/bump', { timeoutMs: 20000 }, async ({ body }) => told(() => storage.transaction(async (tx) => {
    const own = tx.collection(counters);
    const found = await own.get(body.id);
    if (!found) return own.insert({ id: body.id, n: 1 });
    return own.update(body.id, { n: found.n + 1 }, { version: found.version });
  })));
  http.post('/failing', async () => told(() => storage.transaction(async (tx) => {
    await tx.collection('notes').insert({ title: 'never', tag: 'never' });
    throw Object.assign(new Error('no'), { name: 'AtollError', code: 'BAD_REQUEST' });
  })));
  http.put('/blob', { maxBodyBytes: 5000000 }, async ({ request }) => storage.blobs.put(request.body, { type: 'application/x' }));
  http.get('/blob/:sha', async ({ params }) => {
    const blob = await storage.blobs.get(params.sha);
    return blob ? new Response(blob.stream, { headers: { 'content-type': blob.type } }) : new Response('none', { status: 404 });
  });
  http.post('/text', async () => { const { sha256 } = await storage.blobs.put('héllo'); const blob = await storage.blobs.get(sha256); return { sha256, text: await blob.text(), size: blob.size, gone: await storage.blobs.delete(sha256), after: (await storage.blobs.get(sha256)) ?? null }; });
`;

describe('storage in a plugin', () => {
  let folder: PluginOnDisk;
  let plugin: TestedPlugin;
  beforeAll(async () => {
    folder = writePlugin('stores', pluginSource(SETUP), { permissions: { storage: true } });
    plugin = await testPlugin(folder.dir);
  });
  afterAll(async () => {
    await plugin?.close();
    folder.remove();
  });

  const post = async (path: string, json: unknown = {}) =>
    (await plugin.request('POST', `/x/stores/${path}`, { json })).json();
  const run = (method: string, ...args: unknown[]) =>
    post('run', { method, args }) as Promise<{ value: never; code?: string; extras?: object }>;

  it('keeps, finds and changes documents', async () => {
    const { value } = await run('insert', { title: 'First steps', tag: 'a', e: [1, 0, 0] });
    expect(value).toEqual({
      id: expect.stringMatching(/^[\da-f-]{36}$/),
      version: 1,
      title: 'First steps',
      tag: 'a',
      n: 0,
      e: [1, 0, 0],
    });
    const { id } = value as { id: string };
    expect(await run('get', id)).toEqual({ value });
    expect(await run('get', 'none')).toEqual({ value: null });
    expect(await run('update', id, { n: 5 }, { version: 1 })).toMatchObject({
      value: { n: 5, version: 2, title: 'First steps' },
    });
    expect(await run('update', id, { n: 6 }, { version: 1 })).toEqual({ code: 'CONFLICT', extras: { version: 2 } });
    expect(await post('removed', { id })).toMatchObject({ value: { version: 3, n: 5 } });
    expect((await run('get', id)).value).not.toHaveProperty('tag');
    expect(
      await run('insertMany', [
        { title: 'second one', tag: 'b', n: 1 },
        { title: 'third', tag: 'b' },
      ]),
    ).toMatchObject({ code: 'CONFLICT', extras: { field: 'tag' } });
    expect(
      (
        await run('insertMany', [
          { title: 'second one', n: 1, e: [0, 1, 0] },
          { title: 'third', n: 2 },
        ])
      ).value,
    ).toHaveLength(2);
    const page = (await run('find', { where: { n: { gte: 1 } }, orderBy: { n: 'desc' }, limit: 2 })).value as {
      items: { n: number }[];
      nextCursor: string;
    };
    expect(page.items.map(({ n }) => n)).toEqual([5, 2]);
    expect(
      (await run('find', { where: { n: { gte: 1 } }, orderBy: { n: 'desc' }, cursor: page.nextCursor })).value,
    ).toMatchObject({ items: [{ n: 1 }] });
    expect(await run('count', { n: { lt: 5 } })).toEqual({ value: 2 });
    expect((await run('search', { text: 'step' })).value).toMatchObject({
      items: [{ score: expect.any(Number), document: { id } }],
    });
    expect((await run('search', { vector: [0, 1, 0], k: 1 })).value).toMatchObject({
      items: [{ document: { title: 'second one' } }],
    });
    expect((await run('search', { text: 'first', vector: [0, 1, 0], where: { n: { gt: 0 } } })).value).toMatchObject({
      items: [{}, {}],
    });
    expect(await run('delete', id)).toEqual({ value: true });
    expect(await run('delete', id)).toEqual({ value: false });
  });

  it.each([
    ['insert', [{ title: 5 }]],
    ['insert', ['no document']],
    ['insert', [{ title: 'x', id: '' }]],
    ['insertMany', [Array.from({ length: 1_001 }, () => ({ title: 'x' }))]],
    ['find', [{ where: { title: { $gt: '' } } }]],
    ['find', [{ limit: 0 }]],
    ['find', [{ cursor: 'AAAA' }]],
    ['search', [{}]],
    ['search', [{ vector: [1] }]],
    ['update', ['none', { version: 'x' }, { version: 0 }]],
    ['get', [5]],
  ])('refuses %s of %j', async (method, args) => {
    expect(await run(method, ...args)).toMatchObject({ code: 'VALIDATION_FAILED' });
  });

  it('does transactions again until they hold, and loses none', async () => {
    const results = (await Promise.all(Array.from({ length: 6 }, () => post('bump', { id: 'c' })))) as {
      value?: { n: number };
      code?: string;
    }[];
    const done = results.filter(({ value }) => value);
    const last = (await post('bump', { id: 'c' })) as { value: { n: number } };
    expect(last.value.n).toBe(done.length + 1);
    for (const { code } of results) if (code) expect(code).toBe('CONFLICT');
    expect(await post('failing')).toMatchObject({ code: 'BAD_REQUEST' });
    expect(await run('count', { tag: 'never' })).toEqual({ value: 0 });
  });

  it('streams blobs in and out', async () => {
    const bytes = Buffer.alloc(1_500_000, 'blob of a plugin ');
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const stored = await plugin.request('PUT', '/x/stores/blob', { body: bytes });
    expect(stored.json()).toEqual({ sha256, size: bytes.length, type: 'application/x' });
    const found = await plugin.request('GET', `/x/stores/blob/${sha256}`);
    expect(createHash('sha256').update(found.text).digest('hex')).toBe(sha256);
    expect((await plugin.request('GET', `/x/stores/blob/${'0'.repeat(64)}`)).status).toBe(404);
    expect(await post('text')).toEqual({
      sha256: createHash('sha256').update('héllo').digest('hex'),
      text: 'héllo',
      size: 6,
      gone: true,
      after: null,
    });
  });

  it('needs the permission', async () => {
    const without = writePlugin('barred', pluginSource("storage.collection('notes');"));
    await expect(testPlugin(without.dir)).rejects.toThrow(/permissions\.storage/);
    without.remove();
  });
});
