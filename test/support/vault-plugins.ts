import { type PluginOnDisk, pluginSource, writePlugin } from './plugin-folder.js';

/** A plugin that keeps something of every kind there is, for whoever calls. */
const VAULT = pluginSource(`
  const Code = Type.String({ maxLength: 100 });
  const Note = Type.Object({ code: Code, text: Type.String() });
  const notes = storage.collection('notes', {
    schema: Type.Object({ code: Code, text: Type.String(), place: Type.Array(Type.Number()) }),
    indexes: { code: 'unique', text: 'text', place: { vector: 3 } },
  });
  const none = () => new Response('{"none":true}', { status: 404, headers: { 'content-type': 'application/json' } });
  // What a call belongs to has to outlive its pauses.
  const pause = () => new Promise((resolve) => setTimeout(resolve, 1));
  const add = async ({ code, text }) => { await pause(); return notes.insert({ code, text, place: [1, 0, 0] }); };
  const list = async (query = {}) => { await pause(); return notes.find({ limit: 1000, ...query }); };
  const one = async (id) => { await pause(); return (await notes.get(id)) ?? none(); };

  http.get('/notes', { query: Type.Object({ limit: Type.Optional(Type.Integer()), cursor: Type.Optional(Type.String()) }) }, ({ query }) => list(query));
  http.post('/notes', { body: Note }, ({ body }) => add(body));
  http.get('/notes/:note', ({ params }) => one(params.note));
  http.patch('/notes/:note', async ({ params }) => {
    await pause();
    try { return await notes.update(params.note, { text: 'overwritten' }); }
    catch (error) { if (error.code === 'NOT_FOUND') return none(); throw error; }
  });
  http.delete('/notes/:note', async ({ params }) => { await pause(); return (await notes.delete(params.note)) ? {} : none(); });
  http.post('/notes/:note/move', ({ params }) => storage.transaction(async (tx) => {
    const inside = tx.collection(notes);
    await pause();
    const found = await inside.get(params.note);
    if (!found) return none();
    await pause();
    return inside.update(params.note, { text: 'moved' });
  }));
  http.get('/count', async () => { await pause(); return { count: await notes.count() }; });
  http.get('/search', { query: Type.Object({ text: Type.String() }) }, async ({ query }) => {
    await pause();
    return notes.search({ text: query.text, vector: [1, 0, 0], k: 1000 });
  });

  http.post('/blobs', { body: Type.Object({ text: Type.String() }) }, async ({ body }) => { await pause(); return storage.blobs.put(body.text, { type: 'text/plain' }); });
  http.get('/blobs/:sha256', async ({ params }) => {
    await pause();
    const blob = await storage.blobs.get(params.sha256);
    return blob ? { info: await storage.blobs.info(params.sha256), text: await blob.text() } : none();
  });
  http.delete('/blobs/:sha256', async ({ params }) => { await pause(); return (await storage.blobs.delete(params.sha256)) ? {} : none(); });

  http.get('/cache/:key', async ({ params }) => { await pause(); return { value: (await cache.get(params.key)) ?? null }; });
  http.get('/cache/:key/load', async ({ params }) => { await pause(); return { value: await cache.getOrSet(params.key, () => 'loaded') }; });
  http.put('/cache/:key', { body: Type.Object({ text: Type.String() }) }, async ({ params, body }) => {
    await pause();
    await cache.set(params.key, body.text, { tags: ['told'], ttl: 600000 });
    return {};
  });
  http.delete('/cache/:key', async ({ params }) => { await pause(); return { was: await cache.delete(params.key) }; });
  http.delete('/cache', async () => { await pause(); await cache.clear(); return {}; });
  http.delete('/cache-tags/:tag', async ({ params }) => { await pause(); await cache.invalidateTag(params.tag); return {}; });

  jobs.define('add', { input: Note, concurrency: 8, retries: 0 }, async ({ data }) => { await add(data); return { added: data.text }; });
  jobs.define('fail', { input: Note, retries: 0 }, ({ data }) => { throw new Error(data.text); });
  jobs.define('later', { input: Note }, ({ data }) => add(data));
  http.post('/jobs', { body: Note }, async ({ body }) => { await pause(); return { id: await jobs.send('add', body, { key: 'shared' }) }; });
  http.post('/jobs/failing', { body: Note }, async ({ body }) => { await pause(); return { id: await jobs.send('fail', body) }; });
  http.post('/jobs/later', { body: Note }, async ({ body }) => { await pause(); return { id: await jobs.send('later', body, { delayMs: 3600000 }) }; });

  http.post('/tell', { body: Note }, async ({ body }) => { await pause(); await events.emit('vault.told', body); return {}; });
  events.on('vault.told', async ({ data: { code, text }, organisation }) => {
    await add({ code: 'heard ' + code, text: 'heard by ' + organisation + ': ' + text });
    await cache.set('heard', text);
    await storage.blobs.put('heard: ' + text);
    await jobs.send('add', { code: 'sent ' + code, text: 'sent: ' + text });
  });
  events.on('job.failed', async ({ data: { id }, organisation }) => { await add({ code: 'failed ' + id, text: 'failed in ' + organisation }); });

  // Goes on after the answer, and after the time of the call is over.
  http.post('/behind', { body: Note }, ({ body }) => { pause().then(pause).then(pause).then(() => add(body)); return {}; });
  http.post('/slow', { body: Note, timeoutMs: 50 }, async ({ body }) => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    await add(body);
    return {};
  });
  // Everything at once, each step after the one before.
  http.post('/all', { body: Note }, async ({ body }) => {
    const key = 'all ' + body.code;
    const { sha256 } = await storage.blobs.put(body.text);
    const made = await storage.transaction(async (tx) => {
      await pause();
      const note = await tx.collection(notes).insert({ ...body, place: [0, 1, 0] });
      await pause();
      return (await tx.collection(notes).get(note.id));
    });
    const loaded = await cache.getOrSet(key, async () => { await pause(); return (await notes.get(made.id)).text; });
    const blob = await (await storage.blobs.get(sha256)).text();
    return { ok: loaded === body.text && blob === body.text && (await cache.get(key)) === body.text };
  });

  services.provide({ name: 'vault', version: '1.0.0', methods: { list: {}, get: { input: Type.Object({ note: Type.String() }) } } }, {
    list: () => list(),
    get: async ({ note }) => { await pause(); return (await notes.get(note)) ?? null; },
  });
  ws.channel('list', () => list());
  ws.channel('get', Type.Object({ note: Type.String() }), async ({ data }) => { await pause(); return (await notes.get(data.note)) ?? null; });
`);

const READER = pluginSource(`
  const vault = services.use('vault');
  http.get('/notes', () => vault.list());
  http.get('/notes/:note', async ({ params }) =>
    (await vault.get({ note: params.note })) ?? new Response('{"none":true}', { status: 404, headers: { 'content-type': 'application/json' } }));
`);

/** `vault` keeps, and `reader` asks it by its service. */
export const vaultPlugins = (): PluginOnDisk[] => [
  writePlugin('vault', VAULT, {
    provides: { vault: '1.0.0' },
    permissions: {
      storage: true,
      cache: true,
      jobs: true,
      events: { publish: ['vault.*'], subscribe: ['vault.*', 'job.*'] },
    },
  }),
  writePlugin('reader', READER, { consumes: { vault: '^1.0.0' } }),
];
