import fc from 'fast-check';
import pg from 'pg';
import Cursor from 'pg-cursor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EmbeddedServer } from './server.js';
import { SessionMux } from './session-mux.js';
import { errorResponse, MessageSplitter, readyForQuery, simpleQuery, typeOf } from './wire.js';

describe('MessageSplitter', () => {
  it('finds the same messages however the bytes are cut', () => {
    const texts = fc.array(fc.string({ maxLength: 30 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(texts, fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }), (sqls, cuts) => {
        const messages = sqls.map(simpleQuery);
        const bytes = Buffer.concat(messages);
        const splitter = new MessageSplitter(true);
        const found: Buffer[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = cuts[turn % cuts.length]!;
          found.push(...splitter.push(bytes.subarray(at, at + size)));
          at += size;
        }
        expect(found).toEqual(messages);
      }),
    );
  });

  it.each([3, -1, 2_000_000_000])('refuses a length of %d', (length) => {
    const head = Buffer.alloc(5, 'Q');
    head.writeInt32BE(length, 1);
    expect(() => new MessageSplitter(true).push(head)).toThrow(RangeError);
  });
});

describe('many connections over one session', () => {
  let server: EmbeddedServer;
  const client = async () => {
    const made = new pg.Client({ stream: () => server.socket(), user: 'postgres', database: 'postgres' });
    made.on('error', () => {});
    await made.connect();
    return made;
  };

  beforeAll(async () => {
    server = new EmbeddedServer({ template: 'empty', idleTransactionMs: 400, onLost: () => {} });
    await server.start();
    const setup = await client();
    await setup.query('create table item (id int primary key, owner text not null)');
    await setup.end();
  });
  afterAll(() => server.close());

  it('keeps extended queries apart, failing ones included', async () => {
    const flow = async (name: number) => {
      const own = await client();
      for (let turn = 0; turn < 60; turn++) {
        const value = `${name}-${turn}`;
        if (turn % 3 === 0) {
          const failed = await own
            .query('select 1 / $1::int as never', [0])
            .catch((error: { code: string }) => error.code);
          expect(failed).toBe('22012');
        } else if (turn % 3 === 1) {
          const failed = await own
            .query('select nonsense from $1', [value])
            .catch((error: { code: string }) => error.code);
          expect(failed).toBe('42601');
        }
        const { rows } = await own.query('select $1::text as value, $2::int as turn', [value, turn]);
        expect(rows).toEqual([{ value, turn }]);
      }
      await own.end();
    };
    await Promise.all(Array.from({ length: 8 }, (_, name) => flow(name)));
  });

  it('has the session forget what a connection has prepared when it goes', async () => {
    const [own, other] = [await client(), await client()];
    const names = async () => (await other.query('select name from pg_prepared_statements')).rows;
    for (const name of ['mine', 'given_up']) await own.query({ name, text: 'select $1::text as value', values: ['x'] });
    await other.query({ name: 'theirs', text: 'select $1::text as value', values: ['x'] });
    await own.query('deallocate given_up');
    expect(await names()).toEqual([{ name: 'mine' }, { name: 'theirs' }]);
    await own.end();
    await expect.poll(names).toEqual([{ name: 'theirs' }]);
    await other.end();
  });

  it('gives a transaction the session to itself', async () => {
    const flow = async (name: number) => {
      const own = await client();
      for (let turn = 0; turn < 10; turn++) {
        await own.query('begin');
        const { rows: before } = await own.query('select txid_current() as id');
        await own.query('insert into item values ($1, $2)', [name * 100 + turn, String(name)]);
        // The others have something to do in between.
        await new Promise((resolve) => setImmediate(resolve));
        const { rows: after } = await own.query(
          'select txid_current() as id, count(*)::int from item where owner = $1',
          [String(name)],
        );
        expect(after[0].id).toBe(before[0].id);
        expect(after[0].count).toBe(Math.floor((turn + 1) / 2) + 1);
        await own.query(turn % 2 === 0 ? 'commit' : 'rollback');
      }
      await own.end();
    };
    await Promise.all(Array.from({ length: 6 }, (_, name) => flow(name)));
    const check = await client();
    const { rows } = await check.query('select owner, count(*)::int from item group by owner order by owner');
    expect(rows).toEqual(['0', '1', '2', '3', '4', '5'].map((owner) => ({ owner, count: 5 })));
    await check.end();
  });

  it('rolls back for a client that goes away, and for one that stands still', async () => {
    const [gone, still, other] = [await client(), await client(), await client()];
    await gone.query('begin');
    await gone.query("insert into item values (9001, 'gone')");
    const waiting = other.query('select count(*)::int from item where id > 9000');
    (gone as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    expect((await waiting).rows).toEqual([{ count: 0 }]);
    await still.query('begin');
    await still.query("insert into item values (9002, 'still')");
    expect((await other.query('select count(*)::int from item where id > 9000')).rows).toEqual([{ count: 0 }]);
    await expect(still.query('select 1')).rejects.toThrow();
    await other.end();
  });

  it('tells a notification to those who listen', async () => {
    const [one, two, deaf, sender] = [await client(), await client(), await client(), await client()];
    const heard: string[] = [];
    for (const [name, listener] of Object.entries({ one, two, deaf }))
      listener.on('notification', ({ channel, payload }) => heard.push(`${name} ${channel} ${payload}`));
    await one.query('listen news');
    await two.query('LISTEN "news"');
    await sender.query("select pg_notify('news', $1)", ['hello']);
    await expect.poll(() => heard.toSorted()).toEqual(['one news hello', 'two news hello']);
    await Promise.all([one, two, deaf, sender].map((each) => each.end()));
  });

  it('answers cursors, which flush instead of syncing', async () => {
    const [own, other] = [await client(), await client()];
    const cursor = own.query(new Cursor('select generate_series(1, $1::int) as n', [250]));
    const seen: number[] = [];
    const others = other.query('select 1');
    for (let rows = await cursor.read(100); rows.length > 0; rows = await cursor.read(100))
      seen.push(...rows.map(({ n }: { n: number }) => n));
    await cursor.close();
    await others;
    expect(seen).toEqual(Array.from({ length: 250 }, (_, at) => at + 1));
    await Promise.all([own.end(), other.end()]);
  });
});

describe('a session that can go on no more', () => {
  const startup = Buffer.from([0, 0, 0, 8, 0, 3, 0, 0]);
  const join = (mux: SessionMux) => {
    const seen = { answers: '', closed: false };
    const peer = {
      send: (bytes: Uint8Array) => {
        for (const message of new MessageSplitter(true).push(bytes)) seen.answers += typeOf(message);
      },
      close: () => {
        seen.closed = true;
      },
    };
    const { receive } = mux.attach(peer);
    receive(startup);
    seen.answers = '';
    return { seen, receive };
  };

  it.each(['FATAL', 'PANIC'] as const)(
    'says so after a %s, answers nobody any more, and is asked nothing',
    async (severity) => {
      const reasons: string[] = [];
      let asked = 0;
      const session = async () => {
        asked++;
        return Buffer.concat([errorResponse(severity, '53100', 'No space left.'), readyForQuery('I')]);
      };
      const mux = new SessionMux(session, { idleTransactionMs: 100, parameters: {}, onBroken: (r) => reasons.push(r) });
      const [one, two] = [join(mux), join(mux)];
      one.receive(simpleQuery('insert'));
      two.receive(simpleQuery('select'));
      await expect.poll(() => reasons).toEqual([`${severity}: No space left.`]);
      one.receive(simpleQuery('again'));
      await new Promise((resolve) => setImmediate(resolve));
      expect(asked).toBe(1);
      expect([one.seen, two.seen]).toEqual([
        { answers: 'E', closed: true },
        { answers: '', closed: true },
      ]);
    },
  );

  it('is one for the connections as well when a task of the host finds out', async () => {
    const reasons: string[] = [];
    const never = () => Promise.reject(new Error('asked'));
    const mux = new SessionMux(never, { idleTransactionMs: 100, parameters: {}, onBroken: (r) => reasons.push(r) });
    const { seen, receive } = join(mux);
    const task = () => Promise.reject(Object.assign(new Error('No space left.'), { severity: 'PANIC' }));
    await expect(mux.exclusive(task)).rejects.toThrow('No space left.');
    receive(simpleQuery('select'));
    expect([reasons, seen]).toEqual([['PANIC: No space left.'], { answers: '', closed: true }]);
  });

  it('goes on after an ordinary error', async () => {
    const session = async () => Buffer.concat([errorResponse('ERROR', '22012', 'Division.'), readyForQuery('I')]);
    const mux = new SessionMux(session, { idleTransactionMs: 100, parameters: {} });
    const { seen, receive } = join(mux);
    receive(simpleQuery('select 1/0'));
    receive(simpleQuery('select 1/0'));
    await expect.poll(() => seen).toEqual({ answers: 'EZEZ', closed: false });
  });
});
