import { type CloudEvent, ERRORS } from '@atoll/plugin-sdk/contract';
import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { type BusProblem, EventBus, type EventBusOptions } from './bus.js';
import { type EventTransport, LocalHub, LocalTransport } from './transport.js';

function createBus(options: Partial<EventBusOptions> = {}) {
  const problems: [BusProblem, string][] = [];
  const onProblem = (problem: BusProblem, subject: string) => void problems.push([problem, subject]);
  return { bus: new EventBus({ queueLimit: 10, listenerTimeoutMs: 1_000, onProblem, ...options }), problems };
}
const never = () => new Promise<void>(() => {});
const fail = () => {
  throw new TypeError('no');
};
const invalid = expect.objectContaining({ code: 'EVENT_INVALID' satisfies keyof typeof ERRORS });

describe('emit', () => {
  it('puts the data into a CloudEvents envelope', async () => {
    const { bus } = createBus();
    const seen: CloudEvent[] = [];
    bus.subscribe('user.created', (event) => seen.push(event));
    const event = bus.emit('user.created', { id: 1 }, { source: '/plugins/users', traceparent: '00-1-2-01' });
    await bus.idle();
    expect(seen).toEqual([event]);
    expect(event).toEqual({
      specversion: '1.0', id: expect.stringMatching(/^[0-9a-f-]{36}$/), source: '/plugins/users', type: 'user.created',
      time: expect.stringMatching(/^\d{4}-.*Z$/), datacontenttype: 'application/json', data: { id: 1 }, traceparent: '00-1-2-01',
    }); // biome-ignore format: one envelope
  });

  it('delivers in order and one by one to each listener', async () => {
    const { bus } = createBus({ queueLimit: 100 });
    const log: string[] = [];
    bus.subscribe('n.*', async ({ data }) => {
      log.push(`begin ${data}`);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
      log.push(`end ${data}`);
    });
    for (let n = 0; n < 20; n++) bus.emit('n.x', n);
    await bus.idle();
    expect(log).toEqual(Array.from({ length: 20 }, (_, n) => [`begin ${n}`, `end ${n}`]).flat());
  });

  it('tells when nobody waits for an event any more', async () => {
    const { bus } = createBus();
    const taken: string[] = [];
    const emit = (topic: string) => bus.emit(topic, null, { onTaken: () => taken.push(topic) });
    emit('nobody');
    expect(taken).toEqual(['nobody']);
    const { promise, resolve } = Promise.withResolvers<void>();
    bus.subscribe('a', () => promise);
    const gone = bus.subscribe('*', never);
    bus.subscribe('b', fail);
    emit('a');
    emit('b');
    await new Promise((turn) => setTimeout(turn, 5));
    expect(taken).toEqual(['nobody']);
    gone();
    expect(taken).toEqual(['nobody', 'b']);
    resolve();
    await new Promise((turn) => setTimeout(turn, 5));
    expect(taken).toEqual(['nobody', 'b']);
  });

  it('keeps a failing and a hanging listener from the others, and reports them', async () => {
    const { bus, problems } = createBus({ listenerTimeoutMs: 30 });
    const seen: unknown[] = [];
    let hung = 0;
    bus.subscribe('a', fail);
    bus.subscribe('*', () => {
      hung++;
      return never();
    });
    bus.subscribe('**', ({ data }) => seen.push(data));
    for (const n of [1, 2]) bus.emit('a', n);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(seen).toEqual([1, 2]);
    await bus.idle();
    expect(hung).toBe(2);
    expect(problems.sort()).toEqual([
      ['listener failed', 'a'],
      ['listener failed', 'a'],
      ['listener too slow', '*'],
      ['listener too slow', '*'],
    ]);
    expect(bus.stats()).toEqual({
      listeners: 3, emitted: 2, received: 0, delivered: 2, failed: 2, timedOut: 2, dropped: 0, waiting: 0,
    }); // biome-ignore format: a row
  });

  it('drops the oldest of a listener that falls behind, and tells once', async () => {
    const { bus, problems } = createBus();
    const seen: unknown[] = [];
    const subscription = bus.subscribe('a', ({ data }) => seen.push(data));
    for (let n = 0; n < 50; n++) bus.emit('a', n);
    expect(subscription.stats()).toEqual({ waiting: 10, dropped: 40 });
    await bus.idle();
    expect(seen).toEqual(Array.from({ length: 10 }, (_, n) => 40 + n));
    expect(problems).toEqual([['queue overflow', 'a']]);
    subscription();
    expect(bus.stats()).toMatchObject({ dropped: 40, waiting: 0, listeners: 0 });
  });

  it('gives nobody the chance to change what others see', async () => {
    const { bus, problems } = createBus();
    const seen: unknown[] = [];
    const data = { list: [1] };
    bus.subscribe('a', (event) => (event.data as typeof data).list.push(2));
    bus.subscribe('a', (event) => seen.push(event.data));
    bus.emit('a', data);
    data.list.push(3);
    await bus.idle();
    expect(seen).toEqual([{ list: [1] }]);
    expect(problems).toEqual([['listener failed', 'a']]);
  });

  it('refuses topics with wildcards and data that is no data', () => {
    const { bus } = createBus();
    expect(() => bus.emit('a.*', 1)).toThrow(invalid);
    expect(() => bus.emit('', 1)).toThrow(invalid);
    expect(() => bus.emit('a', { run: () => {} })).toThrow(invalid);
  });

  it('stops at once when a subscription ends, also by `using`', async () => {
    const { bus } = createBus();
    const seen: unknown[] = [];
    const end = bus.subscribe('a', ({ data }) => seen.push(data));
    {
      using subscription = bus.subscribe('a', ({ data }) => seen.push(data));
      expect(subscription.pattern).toBe('a');
      bus.emit('a', 1);
    }
    end();
    end();
    bus.emit('a', 2);
    await bus.idle();
    expect(seen).toEqual([]);
  });

  it('reports a malformed pattern, which never matches', async () => {
    const { bus, problems } = createBus();
    bus.subscribe('a.**.b', fail)();
    bus.subscribe('a*', fail);
    bus.emit('a.x.b', 1);
    await bus.idle();
    expect(problems).toEqual([
      ['malformed pattern', 'a.**.b'],
      ['malformed pattern', 'a*'],
    ]);
  });
});

describe('a declared topic', () => {
  it('takes what matches its schema, TypeBox or JSON', () => {
    const { bus } = createBus();
    bus.defineTopic('user.created', Type.Object({ id: Type.Integer() }));
    bus.defineTopic('user.gone', { type: 'object', required: ['id'] });
    expect(bus.topics).toEqual(['user.created', 'user.gone']);
    bus.emit('user.created', { id: 1 });
    bus.emit('user.gone', { id: 'x' });
    expect(() => bus.emit('user.created', { id: 'x' })).toThrow(
      'An event "user.created" does not match its schema: /id must be integer.',
    );
    expect(() => bus.emit('user.gone', {})).toThrow(invalid);
    expect(() => bus.defineTopic('user.*', Type.Any())).toThrow(invalid);
    expect(bus.stats().emitted).toBe(2);
  });
});

describe('the awaited modes', () => {
  it('parallel: all at once; resolves with what failed', async () => {
    const { bus } = createBus({ listenerTimeoutMs: 40 });
    const log: string[] = [];
    bus.subscribe('a', async () => {
      log.push('one begins');
      await new Promise((resolve) => setTimeout(resolve, 10));
      log.push('one ends');
    });
    bus.subscribe('a', fail);
    bus.subscribe('a', never);
    bus.subscribe('a', () => log.push('four'));
    expect(await bus.parallel('a', 1)).toEqual([
      expect.any(TypeError),
      expect.objectContaining({ code: 'DEADLINE_EXCEEDED' }),
    ]);
    expect(log).toEqual(['one begins', 'four', 'one ends']);
  });

  it('serial: in the order of subscribing; one that ended meanwhile is left out', async () => {
    const { bus } = createBus();
    const log: string[] = [];
    bus.subscribe('a', async () => {
      await null;
      log.push('one');
      third();
    });
    bus.subscribe('a', fail);
    const third = bus.subscribe('a', () => log.push('three'));
    bus.subscribe('a', () => log.push('four'));
    expect(await bus.serial('a', 1)).toEqual([expect.any(TypeError)]);
    expect(log).toEqual(['one', 'four']);
  });

  it('bail: the first answer wins; failures are passed over', async () => {
    const { bus, problems } = createBus();
    const asked: number[] = [];
    bus.subscribe('a', fail);
    bus.subscribe('a', () => void asked.push(1));
    bus.subscribe('a', async () => null);
    bus.subscribe('a', () => asked.push(2));
    expect(await bus.bail('a', 1)).toBeNull();
    expect(asked).toEqual([1]);
    expect(problems).toEqual([['listener failed', 'a']]);
    expect(await bus.bail('b', 1)).toBeUndefined();
  });

  it('waterfall: each gets what the one before made of it, if that fits the topic', async () => {
    const { bus, problems } = createBus();
    bus.defineTopic('sum', Type.Object({ n: Type.Integer() }));
    const add = (event: CloudEvent) => ({ n: (event.data as { n: number }).n + 1 });
    bus.subscribe('sum', add);
    bus.subscribe('sum', fail);
    bus.subscribe('sum', () => ({ n: 'nonsense' }));
    bus.subscribe('sum', () => undefined);
    bus.subscribe('sum', add);
    expect(await bus.waterfall('sum', { n: 1 })).toEqual({ n: 3 });
    expect(problems.length).toBe(2);
    await expect(bus.waterfall('sum', { n: 'x' })).rejects.toEqual(invalid);
  });

  it('can be used by a listener without waiting for itself', async () => {
    const { bus } = createBus();
    const seen: string[] = [];
    bus.subscribe('**', async (event) => {
      seen.push(event.type);
      if (event.type === 'outer') await bus.parallel('inner', 1);
    });
    bus.emit('outer', 1);
    await bus.idle();
    expect(seen).toEqual(['outer', 'inner']);
  });
});

describe('transports', () => {
  it('bring events to the other buses of a hub, once, and not back', async () => {
    const hub = new LocalHub();
    const [one, other] = [hub, hub].map((shared) => createBus({ transport: new LocalTransport(shared) }).bus);
    const seen: string[] = [];
    one!.subscribe('a', () => seen.push('one'));
    other!.subscribe('a', () => seen.push('other'));
    one!.emit('a', 1);
    await Promise.all([one!.idle(), other!.idle()]);
    expect(seen.sort()).toEqual(['one', 'other']);
    expect([one!.stats().received, other!.stats().received]).toEqual([0, 1]);
    await other!.close();
    one!.emit('a', 1);
    await one!.idle();
    expect(seen).toHaveLength(3);
  });

  it('that fail or bring nonsense disturb nothing here', async () => {
    let receive: (event: CloudEvent) => void = () => {};
    const transport: EventTransport = {
      publish: async () => fail(),
      onReceive: (listener) => {
        receive = listener;
      },
      close: async () => {},
    };
    const { bus, problems } = createBus({ transport });
    const seen: unknown[] = [];
    bus.defineTopic('a', Type.Integer());
    bus.subscribe('a', ({ data }) => seen.push(data));
    const event = bus.emit('a', 1);
    receive({ ...event, data: 'nonsense' });
    receive({ ...event, data: 2 });
    await bus.idle();
    expect(seen).toEqual([1, 2]);
    expect(problems.sort()).toEqual([
      ['event from elsewhere refused', 'a'],
      ['transport failed', 'a'],
    ]);
  });
});
