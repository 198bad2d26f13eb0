import { AtollError } from '@atoll/plugin-sdk/contract';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Frame } from '../protocol/frame.js';
import { BodyKind, FrameType } from '../protocol/frame-type.js';
import { Deadlines } from './deadlines.js';
import type { GuestReply } from './guest-call.js';
import { IsolateClient } from './isolate-client.js';
import type { Syscall } from './syscall.js';

const PRINCIPAL = { kind: 'plugin' as const, id: 'p', roles: [] };

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A client with nobody at the other end: the test plays the guest. */
function connect(concurrency = 2) {
  const deadlines = new Deadlines();
  const sent: Frame[] = [];
  const syscalls: Syscall[] = [];
  const missed = vi.fn();
  const client = new IsolateClient({
    isolate: 1,
    name: 'p',
    timeoutMs: 1_000,
    concurrency,
    deadlines,
    send: (frame) => sent.push(frame),
    principal: PRINCIPAL,
    traceparent: () => 'trace-of-its-own',
    onSyscall: (syscall) => syscalls.push(syscall),
    onEvent: () => {},
    onGuestError: () => {},
    onMissed: missed,
  });
  const call = (more: object = {}) =>
    client.call({ meta: { m: 'x' }, timeoutMs: 1_000, traceparent: 'trace', ...more });
  const receive = (type: number, id: number, meta = '', body?: string) =>
    client.onFrame({
      type,
      isolate: 1,
      id,
      kind: body === undefined ? BodyKind.NONE : BodyKind.TEXT,
      meta,
      body: body === undefined ? undefined : Buffer.from(body),
    });
  const begun = () => sent.filter(({ type }) => type === FrameType.CALL).map(({ id }) => id);
  return { client, sent, syscalls, missed, call, receive, begun };
}

describe('a call', () => {
  it('is answered', async () => {
    const { call, receive, sent } = connect();
    const answer = call({ body: 'hello' });
    expect(sent[0]).toMatchObject({ type: FrameType.CALL, id: 2, body: 'hello' });
    expect(JSON.parse(sent[0]!.meta)).toMatchObject({ m: 'x', t: 'trace', d: 1_000 });
    receive(FrameType.RESULT, 2, '{"s":200}', 'world');
    expect(await answer).toMatchObject({ meta: '{"s":200}' });
  });

  it('that is not answered in time fails and is cancelled in the guest; a late answer is nobody’s', async () => {
    const { call, receive, sent, missed, client } = connect();
    const answer = call();
    const failed = expect(answer).rejects.toMatchObject({ code: 'PLUGIN_TIMEOUT' });
    await vi.advanceTimersByTimeAsync(1_100);
    await failed;
    expect(sent.at(-1)).toMatchObject({ type: FrameType.CANCEL, id: 2 });
    expect(missed).toHaveBeenCalledOnce();
    receive(FrameType.RESULT, 2);
    expect(client.inFlight).toBe(0);
  });

  it('ends with the deadline it inherits, when that is earlier', async () => {
    const { call } = connect();
    const failed = expect(call({ deadline: performance.now() + 100 })).rejects.toMatchObject({
      code: 'PLUGIN_TIMEOUT',
    });
    await vi.advanceTimersByTimeAsync(150);
    await failed;
  });

  it.each([3_600_000, -3_600_000])('has the time it was given when the system clock is set by %d ms', async (step) => {
    const { call, receive, sent } = connect();
    const [answered, late] = [call(), call()];
    const failed = expect(late).rejects.toMatchObject({ code: 'PLUGIN_TIMEOUT' });
    vi.setSystemTime(Date.now() + step);
    await vi.advanceTimersByTimeAsync(900);
    receive(FrameType.RESULT, 2);
    await answered;
    await vi.advanceTimersByTimeAsync(200);
    await failed;
    void call().catch(() => {});
    expect(JSON.parse(sent.at(-1)!.meta)).toMatchObject({ d: 1_000 });
  });

  it('of a caller who gives up, or had given up before, is cancelled', async () => {
    const { call, sent } = connect();
    const controller = new AbortController();
    const failed = expect(call({ signal: controller.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    controller.abort();
    await failed;
    expect(sent.at(-1)).toMatchObject({ type: FrameType.CANCEL });
    await expect(call({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('can’t be answered with a stream when nobody would read it', async () => {
    const { call, receive, sent, client } = connect();
    const failed = expect(call()).rejects.toMatchObject({ code: 'PLUGIN_BAD_RESPONSE' });
    receive(FrameType.OPEN, 2);
    await failed;
    expect(sent.at(-1)).toMatchObject({ type: FrameType.CANCEL, id: 2 });
    expect(client.inFlight).toBe(0);
  });

  it('whose stream nobody begins to read gives its place back', async () => {
    const { call, receive, client } = connect();
    const answer = call({ streams: true });
    receive(FrameType.OPEN, 2);
    receive(FrameType.CHUNK, 2, '', 'x');
    await answer;
    await vi.advanceTimersByTimeAsync(900);
    expect(client.inFlight).toBe(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(client.inFlight).toBe(0);
  });

  it('has no deadline while its reader takes its time, and what it calls meanwhile has all of its own', async () => {
    const { call, receive, syscalls, client } = connect();
    const answer = call({ streams: true });
    receive(FrameType.OPEN, 2);
    receive(FrameType.CHUNK, 2, '', 'x');
    await (await answer).stream!.next();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(client.inFlight).toBe(1);
    receive(FrameType.CALL, 3, '{"m":"x","c":2}');
    expect(syscalls[0]!.deadline).toBe(performance.now() + 1_000);
  });

  it('waits for a free slot, and is refused when too many wait', async () => {
    const { call, receive, begun, client } = connect(1);
    const calls = Array.from({ length: 65 }, () => call());
    expect(begun()).toEqual([2]);
    await expect(call()).rejects.toMatchObject({ code: 'PLUGIN_OVERLOADED', extras: { retryAfter: 1 } });
    for (let id = 2; id <= 130; id += 2) receive(FrameType.RESULT, id);
    await Promise.all(calls);
    expect(client.inFlight).toBe(0);
  });

  it('waits while the bodies of those that run are too large together, and is refused when too much waits', async () => {
    const { call, receive, begun, client } = connect(64);
    const body = 'x'.repeat(16_000_000);
    const calls = Array.from({ length: 20 }, () => call({ body }));
    expect(begun()).toEqual([2, 4, 6, 8]);
    await expect(call({ body })).rejects.toMatchObject({ code: 'PLUGIN_OVERLOADED' });
    receive(FrameType.RESULT, 2);
    expect(begun()).toEqual([2, 4, 6, 8, 10]);
    client.close(new AtollError('PLUGIN_CRASHED'));
    expect((await Promise.allSettled(calls)).filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(begun()).toHaveLength(5);
  });

  it('tells of the guest that let it wait also when the deadline was that of an outer call', async () => {
    const { call, missed } = connect();
    const outer = new AbortController();
    const failed = expect(call({ timeoutMs: 60_000, signal: outer.signal })).rejects.toBeInstanceOf(AtollError);
    outer.abort(new AtollError('PLUGIN_TIMEOUT'));
    await failed;
    expect(missed).toHaveBeenCalledOnce();
  });

  it('ends what was called for it', async () => {
    const { call, receive, syscalls } = connect();
    const answer = call();
    receive(FrameType.CALL, 3, '{"m":"net.fetch","c":2}');
    expect(syscalls[0]).toMatchObject({ method: 'net.fetch', traceparent: 'trace' });
    expect(syscalls[0]!.deadline).toBe(performance.now() + 1_000);
    receive(FrameType.RESULT, 2);
    await answer;
    expect(syscalls[0]!.signal.aborted).toBe(true);
    expect(syscalls[0]!.settled).toBe(true);
  });
});

describe('a guest', () => {
  it('goes on after a call in the name of an organisation that has called, and of no other', async () => {
    const { call, receive, syscalls, sent } = connect();
    const answer = call({ principal: { kind: 'user', id: 'u', organisation: 'acme', roles: ['admin'] } });
    receive(FrameType.RESULT, 2);
    await answer;
    receive(FrameType.CALL, 3, '{"m":"x","o":"acme"}');
    receive(FrameType.CALL, 5, '{"m":"x"}');
    expect(syscalls.map(({ principal }) => [principal.kind, principal.organisation, principal.roles])).toEqual([
      ['plugin', 'acme', []],
      ['plugin', undefined, []],
    ]);
    // Another organisation, what is none, and a call that has ended: better not at all than in a wrong name.
    for (const [id, of] of [
      [7, '"o":"umbra"'],
      [9, '"o":{}'],
      [11, '"c":2'],
    ] as const)
      receive(FrameType.CALL, id, `{"m":"x",${of}}`);
    expect(syscalls).toHaveLength(2);
    expect(sent.filter(({ type }) => type === FrameType.ERROR).map(({ id }) => id)).toEqual([7, 9, 11]);
  });

  it('can’t have more than so many host calls at once', () => {
    const { receive, syscalls, sent } = connect();
    for (let n = 0; n < 1_100; n++) receive(FrameType.CALL, n * 2 + 1, '{"m":"x"}');
    expect(syscalls).toHaveLength(1_024);
    expect(sent.filter(({ type }) => type === FrameType.ERROR)).toHaveLength(1_100 - 1_024);
  });

  it('can’t make the kernel keep more than so much for its host calls', () => {
    const { receive, syscalls, sent, client } = connect();
    const body = 'x'.repeat(16_000_000);
    const refused = () => sent.filter(({ type }) => type === FrameType.ERROR);
    for (let n = 0; n < 20; n++) receive(FrameType.CALL, n * 2 + 1, '{"m":"x"}', body);
    expect([syscalls.length, refused().length]).toEqual([16, 4]);
    expect(JSON.parse(refused()[0]!.meta)).toMatchObject({ code: 'PLUGIN_FLOODING' });
    syscalls[0]!.answer({});
    receive(FrameType.CALL, 41, '{"m":"x"}', body);
    expect(syscalls).toHaveLength(17);
    client.close(new AtollError('PLUGIN_CRASHED'));
    expect([...client.syscalls]).toEqual([]);
  });

  it('is told when the head of a host call is too large', () => {
    const { receive, syscalls, sent } = connect();
    receive(FrameType.CALL, 3, `{"m":"x","a":"${'y'.repeat(300_000)}"}`);
    expect(syscalls).toEqual([]);
    expect(sent).toMatchObject([{ type: FrameType.ERROR, id: 3, meta: expect.stringContaining('VALIDATION_FAILED') }]);
  });

  it('whose host calls take long waits for them, unless it gives them up', async () => {
    const { client, receive, syscalls } = connect();
    const slow = (syscall: Syscall) => {
      vi.advanceTimersByTime(1_000);
      syscalls.push(syscall);
    };
    Object.assign(client.options, { onSyscall: slow });
    for (const id of [1, 3, 5]) receive(FrameType.CALL, id, '{"m":"x"}');
    expect(syscalls.map(({ id }) => id)).toEqual([1]);
    receive(FrameType.CANCEL, 3);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(syscalls.map(({ id }) => id)).toEqual([1, 5]);
  });

  it('can’t call under an id that is in use or not its own, nor with a broken head', () => {
    const { receive, syscalls } = connect();
    for (const [id, meta] of [
      [3, '{"m":"x"}'],
      [3, '{"m":"x"}'],
      [4, '{"m":"x"}'],
      [5, '{'],
      [7, 'null'],
      [9, '{"m":1}'],
    ] as const)
      receive(FrameType.CALL, id, meta);
    expect(syscalls.map(({ id }) => id)).toEqual([3]);
  });

  it('may send anything: every call settles, nothing is left, and no more run at once than may', async () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.constant({ do: 'call' as const }) },
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constant('frame' as const),
          type: fc.constantFrom(...Object.values(FrameType)),
          id: fc.integer({ min: 0, max: 12 }),
          meta: fc.constantFrom(
            '',
            '{}',
            '{"m":"x"}',
            '{"m":"x","c":2,"s":true}',
            '{"n":5}',
            '{"n":-1}',
            '{"code":"NOT_FOUND","message":"m"}',
            'junk',
          ),
          body: fc.option(fc.string({ maxLength: 5 }), { nil: undefined }),
        }),
      },
      fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 600 }) }),
      fc.record({ do: fc.constant('abort' as const), at: fc.nat(10) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { client, call, receive, sent } = connect();
        const controllers: AbortController[] = [];
        const settled: Promise<unknown>[] = [];
        const running = new Set<number>();
        for (const each of steps) {
          if (each.do === 'call') {
            const controller = new AbortController();
            controllers.push(controller);
            settled.push(call({ signal: controller.signal }).then(drain, asError));
          } else if (each.do === 'frame') receive(each.type, each.id, each.meta, each.body);
          else if (each.do === 'wait') await vi.advanceTimersByTimeAsync(each.ms);
          else controllers[each.at % Math.max(1, controllers.length)]?.abort();
        }
        client.close(new AtollError('PLUGIN_CRASHED'));
        await Promise.all(settled);
        expect(client.inFlight).toBe(0);
        expect([...client.syscalls]).toEqual([]);
        for (const { type, id } of sent) if (type === FrameType.CALL) running.add(id);
        expect(running.size).toBe(sent.filter(({ type }) => type === FrameType.CALL).length);
        await expect(call()).rejects.toMatchObject({ code: 'PLUGIN_CRASHED' });
      }),
      { numRuns: 300 },
    );
  });
});

async function drain({ stream }: GuestReply): Promise<void> {
  try {
    for await (const _ of stream ?? []);
  } catch (error) {
    asError(error);
  }
}

function asError(error: unknown): void {
  expect(error).toBeInstanceOf(AtollError);
}
