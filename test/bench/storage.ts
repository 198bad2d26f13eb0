import { PluginUnderTest } from '@atoll/kernel/testing';
import pg from 'pg';
import { pluginSource, writePlugin } from '../support/plugin-folder.js';
import { ms, percent, type Row } from './report.js';
import { median, quantile } from './stats.js';

/*
 * A plugin's documents against statements that do the same, written by hand as an application would: with the driver's pool, as many
 * connections to the same database, in the same process. One by one it is the way out of the isolate and back that counts, so that is
 * told as a time; throughput is that of several calls at once.
 */

const DOCUMENTS = 20_000;
const DIMENSIONS = 384;
const BATCH = 100;
const ONE_BY_ONE = 400;
/** Less would measure how each side begins. */
const SEVERAL_AT_ONCE = 2_000;
const AT_ONCE = 16;
const SEARCHES = 60;
const ROUNDS = 5;
const LOCAL_SERVER = process.env.TEST_DATABASE_URL || 'postgres://postgres@127.0.0.1:5432/postgres';

const SETUP = `
  const schema = Type.Object({ n: Type.Integer(), tag: Type.String(), title: Type.String(), e: Type.Optional(Type.Array(Type.Number())) });
  const small = storage.collection('small', { schema, indexes: { tag: 'equality', n: 'range' } });
  const large = storage.collection('large', { schema, indexes: { title: 'text', e: { vector: ${DIMENSIONS} } } });
  const timed = async (run, count, lanes) => {
    const times = [];
    const began = performance.now();
    let next = 0;
    await Promise.all(Array.from({ length: lanes }, async () => {
      for (let at = next++; at < count; at = next++) {
        const from = performance.now();
        await run(at);
        times.push(performance.now() - from);
      }
    }));
    return { ms: performance.now() - began, times };
  };
  const work = {
    insert: ({ from }) => (n) => small.insert({ n: from + n, tag: 'tag' + (n % 50), title: 'number ' + n }),
    get: ({ ids }) => (n) => small.get(ids[n % ids.length]),
    query: () => (n) => small.find({ where: { tag: 'tag' + (n % 50) }, limit: 20 }),
    search: ({ queries }) => (n) => large.search({ ...queries[n % queries.length], k: 10 }),
  };
  http.post('/run', { timeoutMs: 600000, maxBodyBytes: 16000000 }, ({ body }) => timed(work[body.what](body), body.count, body.lanes));
  http.post('/load', { timeoutMs: 600000, maxBodyBytes: 16000000 }, async ({ body }) => { await large.insertMany(body); return {}; });
  http.get('/ids', async () => (await small.find({ limit: 500 })).items.map(({ id }) => id));
`;

interface Timed {
  ms: number;
  times: number[];
}
type Statement = (at: number) => Promise<unknown>;

export async function benchStorage(): Promise<Row[]> {
  const rows = await benchEngine('embedded', { onDisk: true });
  if (await answers(LOCAL_SERVER)) rows.push(...(await benchEngine('PostgreSQL', { url: LOCAL_SERVER })));
  return rows;
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  return client.connect().then(
    () => client.end().then(() => true),
    () => false,
  );
}

async function benchEngine(engine: string, database: { onDisk: true } | { url: string }): Promise<Row[]> {
  const limits = { permissions: { storage: true }, limits: { timeoutMs: 600_000, memoryMb: 256, concurrency: 64 } };
  const folder = writePlugin('measured', pluginSource(SETUP), limits);
  const plugin = await PluginUnderTest.start(folder.dir, { database });
  const bench = new StorageBench(plugin, engine);
  try {
    await bench.prepare();
    return [...(await bench.documents()), ...(await bench.search())];
  } finally {
    await bench.close();
    await plugin.close();
    folder.remove();
  }
}

class StorageBench {
  #native = true;
  readonly #db: pg.Pool;

  constructor(
    private readonly plugin: PluginUnderTest,
    private readonly engine: string,
  ) {
    const { connectionOptions, connections } = plugin.database;
    this.#db = new pg.Pool({ ...connectionOptions, max: connections });
  }

  close(): Promise<void> {
    return this.#db.end();
  }

  async prepare(): Promise<void> {
    const found = await this.#db.query("select 1 from pg_extension where extname = 'vector'");
    this.#native = found.rows.length > 0;
    const vector = this.#native ? `vector(${DIMENSIONS})` : 'real[]';
    await this.#db.query('create table by_hand (id text primary key, doc jsonb not null)');
    await this.#db.query("create index on by_hand ((doc ->> 'tag'))");
    await this.#db.query("create index on by_hand (((doc ->> 'n')::float8))");
    await this.#db.query(
      `create table by_hand_large (id text primary key, doc jsonb not null, words tsvector not null, e ${vector})`,
    );
    await this.#db.query('create index on by_hand_large using gin (words)');
    if (this.#native) await this.#db.query('create index on by_hand_large using hnsw (e vector_cosine_ops)');
  }

  async documents(): Promise<Row[]> {
    const rows: Row[] = [];
    for (const lanes of [AT_ONCE, 1])
      rows.push(await this.#compare('document insert', 'insert', lanes, this.#insertByHand()));
    const ids = (await (await this.plugin.request('GET', '/x/measured/ids')).json()) as string[];
    const { rows: own } = await this.#db.query<{ id: string }>('select id from by_hand limit 500');
    const get: Statement = (at) =>
      this.#db.query('select id, doc from by_hand where id = $1', [own[at % own.length]!.id]);
    const query: Statement = (at) =>
      this.#db.query("select id, doc from by_hand where doc ->> 'tag' = $1 order by id limit 20", [`tag${at % 50}`]);
    for (const lanes of [AT_ONCE, 1]) {
      rows.push(await this.#compare('document get', 'get', lanes, () => get, { ids }));
      rows.push(await this.#compare('query of 20 by an index', 'query', lanes, () => query));
    }
    return rows;
  }

  #insertByHand(): (from: number) => Statement {
    return (from) => (n) =>
      this.#db.query('insert into by_hand (id, doc) values ($1, $2::jsonb)', [
        crypto.randomUUID(),
        JSON.stringify({ n: from + n, tag: `tag${n % 50}`, title: `number ${n}` }),
      ]);
  }

  /** Rounds alternate, so that what else the machine does hits both. */
  async #compare(
    what: string,
    work: string,
    lanes: number,
    byHand: (from: number) => Statement,
    more: object = {},
  ): Promise<Row> {
    const [own, hand]: [number[], number[]] = [[], []];
    const count = lanes === 1 ? ONE_BY_ONE : SEVERAL_AT_ONCE;
    for (let round = -1; round < ROUNDS; round++) {
      const from = (round + 1) * count;
      const theirs = await timed(byHand(from), count, lanes);
      const ours = await this.#run(work, { ...more, from, count, lanes });
      if (round < 0) continue;
      own.push(count / (ours.ms / 1_000));
      hand.push(count / (theirs.ms / 1_000));
    }
    return lanes === 1
      ? this.#latency(what, 1_000 / median(own), 1_000 / median(hand))
      : this.#throughput(`${what}, ${lanes} at a time`, median(own), median(hand));
  }

  #latency(what: string, own: number, hand: number): Row {
    return {
      what: `Storage, ${this.engine}: ${what}, one by one`,
      result: `${ms(own)} = ${ms(own - hand)} more`,
      baseline: `by hand ${ms(hand)}`,
    };
  }

  #throughput(what: string, own: number, hand: number): Row {
    return {
      what: `Storage, ${this.engine}: ${what}`,
      result: `${Math.round(own)}/s = ${percent(own / hand)}`,
      baseline: `by hand ${Math.round(hand)}/s`,
      target: '≥ 60 % of by hand',
      met: own >= hand * 0.6,
    };
  }

  async search(): Promise<Row[]> {
    const { own, hand } = await this.#load();
    const count = this.#native ? SEARCHES : 5;
    const queries = Array.from({ length: count }, (_, n) => ({
      text: `${word(n * 7)} ${word(n * 13 + 1)}`,
      vector: vectorOf(n * 31),
    }));
    await this.#run('search', { queries, count: 3, lanes: 1 });
    const ours = await this.#run('search', { queries, count, lanes: 1 });
    const theirs = await timed((at) => this.#searchByHand(queries[at % queries.length]!), count, 1);
    const p95 = quantile(ours.times, 0.95);
    const how = this.#native ? 'HNSW' : 'no pgvector: every vector is looked at';
    const rate = count / (ours.ms / 1_000);
    const theirRate = count / (theirs.ms / 1_000);
    return [
      this.#throughput(
        `insert of ${DOCUMENTS} × ${DIMENSIONS}, ${BATCH} at once`,
        DOCUMENTS / (own / 1_000),
        DOCUMENTS / (hand / 1_000),
      ),
      {
        what: `Storage, ${this.engine}: hybrid search of ${DOCUMENTS} × ${DIMENSIONS} (${how})`,
        result: `${ms(median(ours.times))}, p95 ${ms(p95)}; ${rate.toFixed(1)}/s = ${percent(rate / theirRate)}`,
        baseline: `by hand ${ms(median(theirs.times))}, p95 ${ms(quantile(theirs.times, 0.95))}`,
        target: this.#native ? '≥ 60 % of by hand, p95 < 100 ms' : '≥ 60 % of by hand',
        met: rate >= theirRate * 0.6 && (!this.#native || p95 < 100),
      },
    ];
  }

  /** Both tables, in turns. In ms. */
  async #load(): Promise<{ own: number; hand: number }> {
    const time = { own: 0, hand: 0 };
    for (let from = 0; from < DOCUMENTS; from += BATCH) {
      const documents = Array.from({ length: BATCH }, (_, at) => documentOf(from + at));
      let began = performance.now();
      await this.#insertLargeByHand(documents);
      time.hand += performance.now() - began;
      const body = JSON.stringify(documents);
      began = performance.now();
      const reply = await this.plugin.request('POST', '/x/measured/load', { body, headers: JSON_TYPE });
      if (reply.status !== 200) throw new Error(await reply.text());
      time.own += performance.now() - began;
    }
    return time;
  }

  #insertLargeByHand(documents: readonly ReturnType<typeof documentOf>[]): Promise<unknown> {
    const cast = this.#native ? 'vector' : 'real[]';
    return this.#db.query(
      `insert into by_hand_large (id, doc, words, e)
       select id, doc::jsonb, to_tsvector('english', title), e::${cast} from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as given (id, doc, title, e)`,
      [
        documents.map(() => crypto.randomUUID()),
        documents.map((document) => JSON.stringify(document)),
        documents.map(({ title }) => title),
        documents.map(({ e }) => (this.#native ? `[${e.join()}]` : `{${e.join()}}`)),
      ],
    );
  }

  #searchByHand({ text, vector }: { text: string; vector: number[] }): Promise<unknown> {
    const near = this.#native
      ? 'select id, row_number() over (order by e <=> $2::vector) as at from by_hand_large order by e <=> $2::vector limit 50'
      : `select id, row_number() over (order by far) as at from (select id, (select 1 - sum(a::float8 * b) / nullif(sqrt(sum(a::float8 * a)) * sqrt(sum(b::float8 * b)), 0)
           from unnest(e, $2::real[]) as pair (a, b)) as far from by_hand_large) as measured order by far limit 50`;
    return this.#db.query(
      `with query as (select replace(plainto_tsquery('english', $1)::text, '&', '|')::tsquery as words),
       texts as (select id, row_number() over (order by ts_rank_cd(t.words, query.words) desc) as at from by_hand_large t, query
                 where t.words @@ query.words order by ts_rank_cd(t.words, query.words) desc limit 50),
       near as (${near}),
       fused as (select id, sum(1.0 / (60 + at)) as score from (select * from texts union all select * from near) as both_lists group by id order by 2 desc limit 10)
       select id, score, doc from fused join by_hand_large using (id) order by score desc`,
      [text, this.#native ? `[${vector.join()}]` : `{${vector.join()}}`],
    );
  }

  async #run(what: string, more: object): Promise<Timed> {
    const body = JSON.stringify({ what, ...more });
    const reply = await this.plugin.request('POST', '/x/measured/run', { body, headers: JSON_TYPE });
    if (reply.status !== 200) throw new Error(await reply.text());
    return (await reply.json()) as Timed;
  }
}

const JSON_TYPE = { 'content-type': 'application/json' };

async function timed(run: Statement, count: number, lanes: number): Promise<Timed> {
  const times: number[] = [];
  const began = performance.now();
  let next = 0;
  const lane = async () => {
    for (let at = next++; at < count; at = next++) {
      const from = performance.now();
      await run(at);
      times.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return { ms: performance.now() - began, times };
}

/** The same numbers in every run. */
function randomOf(seed: number): () => number {
  let state = (seed * 2_654_435_761 + 1) % 2_147_483_647;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647 - 0.5;
  };
}

const word = (n: number): string => `word${(n * 7_919) % 2_000}`;

/** Embeddings of real texts lie in clusters. */
function vectorOf(n: number): number[] {
  const [center, own] = [randomOf((n % 200) + 1), randomOf(n + 1_000)];
  return Array.from({ length: DIMENSIONS }, () => Number((center() + own() * 0.3).toFixed(5)));
}

function documentOf(n: number) {
  const title = Array.from({ length: 12 }, (_, at) => word(n * 12 + at * 31)).join(' ');
  return { n, tag: `tag${n % 50}`, title, e: vectorOf(n) };
}
