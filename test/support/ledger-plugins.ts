import { type PluginOnDisk, pluginSource, writePlugin } from './plugin-folder.js';

/**
 * Writes of every kind, and jobs that keep a book about themselves: each run takes the lease of its job with its fencing token, works, and
 * gives it back; whatever shows that two runs were at it at once is a violation.
 */
const LEDGER = pluginSource(`
  const Numbered = Type.Object({ n: Type.Integer() });
  const docs = storage.collection('docs', { schema: Type.Object({ n: Type.Integer(), text: Type.String() }), indexes: { n: 'range', text: 'text' } });
  const pairs = storage.collection('pairs', { schema: Type.Object({ n: Type.Integer() }) });
  const leases = storage.collection('leases', { schema: Type.Object({ token: Type.Integer(), held: Type.Boolean() }) });
  const book = storage.collection('book', { schema: Type.Object({ job: Type.String(), token: Type.Integer(), what: Type.String() }) });

  http.post('/docs', { body: Numbered }, ({ body: { n } }) => docs.insert({ id: 'd' + n, n, text: 'document ' + n }));
  http.post('/pairs', { body: Numbered }, ({ body: { n } }) => storage.transaction(async (tx) => {
    const inside = tx.collection(pairs);
    await inside.insert({ id: n + 'a', n });
    const total = await inside.get('total');
    if (total) await inside.update('total', { n: total.n + 1 }); else await inside.insert({ id: 'total', n: 1 });
    await inside.insert({ id: n + 'b', n });
    return { n };
  }));
  http.post('/blobs', { body: Numbered }, ({ body: { n } }) => storage.blobs.put(('blob ' + n + ' ').repeat(2000)));
  http.post('/jobs', { body: Numbered }, async ({ body: { n } }) => ({ id: await jobs.send('run', { n }) }));
  // In one transaction: the job is there exactly when the document is.
  jobs.define('run', { concurrency: 4, input: Numbered, timeoutMs: 30000 }, async ({ id, attempt }) => {
    const note = (what) => book.insert({ job: id, token: attempt, what });
    const found = await storage.transaction(async (tx) => {
      const inside = tx.collection(leases);
      const lease = await inside.get(id);
      if (lease && lease.token >= attempt) return 'a run with the token ' + lease.token + ' before';
      if (lease) await inside.update(id, { token: attempt, held: true }); else await inside.insert({ id, token: attempt, held: true });
      await tx.collection(book).insert({ job: id, token: attempt, what: 'begin' });
    });
    if (found) return note('violation: ' + found);
    await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 150));
    const lost = await storage.transaction(async (tx) => {
      const inside = tx.collection(leases);
      const lease = await inside.get(id);
      if (lease.token !== attempt || !lease.held) return 'the lease went to ' + lease.token;
      await inside.update(id, { held: false });
      await tx.collection(book).insert({ job: id, token: attempt, what: 'end' });
    });
    if (lost) await note('violation: ' + lost);
  });
  const all = async (collection) => {
    const items = [];
    let cursor;
    do {
      const page = await collection.find({ limit: 1000, ...(cursor && { cursor }) });
      items.push(...page.items);
      cursor = page.nextCursor;
    } while (cursor);
    return items;
  };
  const Read = { timeoutMs: 60000 };
  http.get('/docs', Read, async () => (await all(docs)).map(({ id }) => id));
  http.get('/pairs', Read, async () => (await all(pairs)).map(({ id, n }) => ({ id, n })));
  http.get('/book', Read, async () => all(book));
  http.get('/found', { query: Type.Object({ text: Type.String() }) }, async ({ query }) =>
    (await docs.search({ text: query.text, k: 1000 })).items.length);
  http.post('/blobs/missing', { ...Read, body: Type.Object({ names: Type.Array(Type.String()) }) }, async ({ body }) => {
    const missing = [];
    for (const name of body.names) {
      const blob = await storage.blobs.get(name);
      if (!blob || (await blob.text()).length !== blob.size) missing.push(name);
    }
    return missing;
  });
`);

const SWITCHED = pluginSource(`
  schedule.cron('yearly', '0 0 1 1 *', () => {});
  http.get('/', () => ({ tone: config.tone }));
`);

export const ledgerPlugins = (): { ledger: PluginOnDisk; switched: PluginOnDisk } => ({
  ledger: writePlugin('ledger', LEDGER, {
    permissions: { storage: true, jobs: true },
    limits: { memoryMb: 128, timeoutMs: 20_000, concurrency: 64 },
  }),
  switched: writePlugin('switched', SWITCHED, {
    permissions: { schedule: true },
    config: { type: 'object', properties: { tone: { type: 'integer', default: 0 } } },
  }),
});
