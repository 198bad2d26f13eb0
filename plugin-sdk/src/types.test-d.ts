/* Checked by the compiler, never run: what plugin authors get from inference, and which mistakes are errors. */
import { type CloudEvent, definePlugin, defineService, type Principal, type ServiceClient, Type } from './index.js';
import { llm } from './services/llm.js';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Fails to compile unless the value's type is exactly `T`: `exactly<string>()(text, true)`. */
declare function exactly<T>(): <V>(value: V, same: Same<V, T>) => void;

const Note = Type.Object({ text: Type.String(), tags: Type.Optional(Type.Array(Type.String())) });

export const routes = definePlugin(({ http }) => {
  const schemas = {
    params: Type.Object({ id: Type.Integer() }),
    query: Type.Object({ full: Type.Optional(Type.Boolean()) }),
    body: Note,
  };
  http.put('/notes/:id', schemas, ({ params, query, body, principal, signal, request }) => {
    exactly<number>()(params.id, true);
    exactly<boolean | undefined>()(query.full, true);
    exactly<string>()(body.text, true);
    exactly<string[] | undefined>()(body.tags, true);
    exactly<Principal>()(principal, true);
    exactly<AbortSignal>()(signal, true);
    exactly<Request>()(request, true);
    // @ts-expect-error: not in the schema
    return body.title;
  });

  http.post(
    '/inline',
    { body: Type.Object({ kind: Type.Union([Type.Literal('a'), Type.Literal('b')]) }) },
    ({ body }) => {
      exactly<'a' | 'b'>()(body.kind, true);
    },
  );

  http.get('/:name', ({ params, query, body, headers }) => {
    exactly<Record<string, string>>()(params, true);
    exactly<Record<string, string | string[]>>()(query, true);
    exactly<unknown>()(body, true);
    exactly<string | undefined>()(headers['x-anything'], true);
  });

  http.get('/answers', () => new Response('text'));
  http.get('/streams', async function* () {
    yield { n: 1 };
  });

  // @ts-expect-error: a route needs a handler
  http.get('/');
  // @ts-expect-error: a schema is an object
  http.post('/', { body: 'string' }, () => {});
  // @ts-expect-error: a limit is a number
  http.post('/', { body: Note, maxBodyBytes: '1 MB' }, () => {});
  // @ts-expect-error: handlers can't write to what they get
  http.post('/', { body: Note }, (call) => (call.body = { text: '' }));
  // @ts-expect-error: there is no such method
  http.options('/', () => {});
});

const counter = defineService({
  name: 'counter',
  version: '1.0.0',
  methods: {
    add: { input: Type.Object({ by: Type.Integer() }), output: Type.Object({ total: Type.Integer() }) },
    total: { output: Type.Integer() },
    watch: {
      input: Type.Object({ from: Type.Integer() }),
      stream: true,
      chunk: Type.Object({ total: Type.Integer() }),
    },
  },
});

export const provider = definePlugin(({ services }) => {
  services.provide(counter, {
    add: ({ by }, { caller, signal }) => {
      exactly<number>()(by, true);
      exactly<string>()(caller, true);
      exactly<AbortSignal>()(signal, true);
      return { total: by };
    },
    total: async (input) => {
      exactly<undefined>()(input, true);
      return 1;
    },
    async *watch({ from }) {
      yield { total: from };
    },
  });
  // @ts-expect-error: every method must be there
  services.provide(counter, { add: () => ({ total: 1 }), total: () => 1 });
  services.provide(counter, {
    // @ts-expect-error: the answer must match the contract
    add: () => ({ sum: 1 }),
    total: () => 1,
    // @ts-expect-error: a stream is an async iterable
    watch: () => ({ total: 1 }),
  });
});

export const consumer = definePlugin(async ({ services }) => {
  const client = services.use(counter);
  exactly<ServiceClient<(typeof counter)['methods']>>()(client, true);
  exactly<{ total: number }>()(await client.add({ by: 1 }, { timeoutMs: 100 }), true);
  for await (const chunk of client.watch({ from: 0 })) exactly<{ total: number }>()(chunk, true);
  for await (const chunk of await client.watch({ from: 0 })) exactly<{ total: number }>()(chunk, true);
  // @ts-expect-error: the input must match the contract
  await client.add({ by: 'one' });
  // @ts-expect-error: the contract has no such method
  await client.subtract({ by: 1 });

  const chat = await services.use(llm).chat({ messages: [{ role: 'user', content: 'Hello' }] });
  exactly<'assistant'>()(chat.message.role, true);
  // @ts-expect-error: roles are fixed
  await services.use(llm).chat({ messages: [{ role: 'owner', content: 'Hello' }] });

  // By name alone nothing is known of the methods, and all are allowed.
  const untyped = services.use('whatever');
  await untyped.anything?.({ goes: true });
});

interface Settings {
  greeting: string;
  retries?: number;
}

export const configured = definePlugin<Settings>(({ config, plugin }) => {
  exactly<string>()(config.greeting, true);
  exactly<number | undefined>()(config.retries, true);
  exactly<string>()(plugin.id, true);
  // @ts-expect-error: the configuration is read-only
  config.greeting = 'Bye';
  // @ts-expect-error: not in the configuration
  config.farewell;
});

export const others = definePlugin(({ events, ws, log, metrics, secrets, lifecycle }) => {
  events.on<{ id: string }>('user.created', (event) => exactly<CloudEvent<{ id: string }>>()(event, true));
  events.on('user.*', ({ data }) => exactly<unknown>()(data, true));
  ws.channel('echo', Type.Object({ text: Type.String() }), ({ data }) => exactly<{ text: string }>()(data, true));
  ws.channel('any', ({ data }) => exactly<unknown>()(data, true));
  log.info({ id: 1 }, 'a message');
  log.warn('a message');
  metrics.increment('calls');
  exactly<string>()(secrets.ref('KEY'), true);
  exactly<Promise<boolean>>()(secrets.has('KEY'), true);
  lifecycle.onStop(() => {});
  // @ts-expect-error: a message is text
  log.info(42);
  // @ts-expect-error: a gauge needs a value
  metrics.gauge('depth');
});

// @ts-expect-error: a plugin is made from a setup function
definePlugin({ setup: () => {} });

export const storing = definePlugin(({ storage }) => {
  const notes = storage.collection('notes', { schema: Note, indexes: { text: 'text', tags: 'equality' } });
  const loose = storage.collection('loose');
  return storage.transaction(async (tx) => {
    const note = await notes.insert({ text: 'one' });
    exactly<string>()(note.id, true);
    exactly<number>()(note.version, true);
    exactly<string>()(note.text, true);
    exactly<unknown>()((await loose.get('x'))?.anything, true);
    await notes.update(note.id, { tags: undefined }, { version: note.version });
    const own = tx.collection(notes);
    exactly<string[] | undefined>()((await own.find({ where: { text: { startsWith: 'o' } } })).items[0]?.tags, true);
    exactly<number | undefined>()((await notes.search({ text: 'one' })).items[0]?.score, true);
    // @ts-expect-error: not what the schema says
    await notes.insert({ text: 5 });
    // @ts-expect-error: not in the schema
    await own.update(note.id, { title: 'x' });
    // @ts-expect-error: no such index
    storage.collection('other', { indexes: { a: 'fast' } });
  });
});
