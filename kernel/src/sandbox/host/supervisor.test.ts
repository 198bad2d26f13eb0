import { spawn } from 'node:child_process';
import { availableParallelism, constants, setPriority } from 'node:os';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { isAlive } from '../../../../test/support/processes.js';
import { type IsolateFate, type IsolateSpec, Supervisor, type SupervisorOptions } from './supervisor.js';

/** A bundle whose plugin answers one route, with what the code computes. */
const bundle = (handler: string) => `globalThis.__atollPlugin = { default: { setup: ({ http }) => {
  http.get('/', async () => { ${handler} }); } } };`;

let supervisor: Supervisor;
afterEach(() => supervisor.close());

function start(changed: Partial<SupervisorOptions> = {}): SupervisorOptions {
  const options: SupervisorOptions = {
    maxCells: 2,
    spares: 1,
    heartbeatMs: 100,
    heartbeatMisses: 50,
    graceMs: 200,
    cellBaseMb: 300,
    startTimeoutMs: 5_000,
    log: () => {},
    ...changed,
  };
  supervisor = new Supervisor(options);
  return options;
}

async function plugin(name: string, handler: string, more: Partial<IsolateSpec> = {}) {
  const fates: IsolateFate[] = [];
  const evicted = vi.fn();
  const isolate = await supervisor.start({
    name,
    group: name,
    code: bundle(handler),
    memoryMb: 32,
    timeoutMs: 500,
    concurrency: 8,
    principal: { kind: 'plugin', id: name, roles: [] },
    traceparent: () => '00-0-0-00',
    onSyscall: (syscall) => syscall.answer({ value: {} }),
    onEvent: () => {},
    onGuestError: () => {},
    onEnd: (fate) => fates.push(fate),
    onEvict: evicted,
    ...more,
  });
  const request = (meta: object, timeoutMs = 500) =>
    isolate.client.call({ meta: meta as { m: string }, timeoutMs, traceparent: '00-0-0-00' });
  await request({ m: 'setup', plugin: { id: name, version: '1.0.0' }, config: {} });
  const call = async (timeoutMs?: number) => {
    const { body } = await request({ m: 'http', i: 0, v: 'GET', u: '/', a: {}, q: {}, h: {} }, timeoutMs);
    return JSON.parse(body!.toString()) as unknown;
  };
  return { isolate, call, fates, evicted };
}

const settled = (pid: number | undefined) => expect.poll(() => isAlive(pid!), { timeout: 5_000 }).toBe(false);

describe('a supervisor', () => {
  it('keeps a warm cell beside those in use, and leaves no process behind', async () => {
    start();
    const { call, isolate } = await plugin('a', 'return 1;');
    expect(await call()).toBe(1);
    await expect.poll(() => supervisor.cells.length).toBe(2);
    const pids = supervisor.cells.map(({ pid }) => pid);
    await supervisor.stop(isolate);
    await expect(call()).rejects.toMatchObject({ code: 'PLUGIN_NOT_ACTIVE' });
    await supervisor.close();
    for (const pid of pids) await settled(pid);
  });

  it('puts groups beyond its limit together, where there are fewest', async () => {
    start({ maxCells: 2 });
    const cells = [];
    for (const name of ['a', 'b', 'c', 'd']) cells.push((await plugin(name, 'return 1;')).isolate.cell.pid);
    expect(new Set(cells).size).toBe(2);
    expect(cells.filter((pid) => pid === cells[0])).toHaveLength(2);
  });

  it('fails the calls of a cell that dies, and knows the culprit when only one was at work', async () => {
    start({ maxCells: 1 });
    const [busy, idle] = [await plugin('busy', 'await new Promise(() => {});'), await plugin('idle', 'return 1;')];
    const waiting = busy.call();
    const failed = expect(waiting).rejects.toMatchObject({ code: 'PLUGIN_CRASHED' });
    process.kill(busy.isolate.cell.pid!, 'SIGKILL');
    await failed;
    expect(busy.fates).toMatchObject([{ why: 'crashed', culprit: 'yes' }]);
    expect(idle.fates).toMatchObject([{ why: 'crashed', culprit: 'no' }]);
  });

  it('ends an isolate that hangs, and spares its neighbour', async () => {
    start({ maxCells: 1 });
    const [evil, good] = [await plugin('evil', 'for (;;);'), await plugin('good', 'return 1;')];
    await expect(evil.call()).rejects.toMatchObject({ code: 'PLUGIN_TIMEOUT' });
    await expect.poll(() => evil.fates, { timeout: 5_000 }).toMatchObject([{ why: 'timeout', culprit: 'yes' }]);
    expect(await good.call()).toBe(1);
    expect(good.fates).toEqual([]);
  });

  it('ends an isolate that hangs without neighbours together with its cell, and its successor gets another', async () => {
    start();
    const { isolate, call, fates } = await plugin('evil', 'for (;;);', { timeoutMs: 60_000 });
    await expect(call()).rejects.toMatchObject({ code: 'PLUGIN_TIMEOUT' });
    await expect.poll(() => fates, { timeout: 10_000 }).toMatchObject([{ why: 'timeout', culprit: 'yes' }]);
    const next = await plugin('evil', 'return 1;');
    expect(next.isolate.cell).not.toBe(isolate.cell);
    expect(await next.call()).toBe(1);
    await settled(isolate.cell.pid);
    expect(fates).toHaveLength(1);
  });

  it('lets a run without neighbours take its time, though the cell is silent meanwhile', async () => {
    start({ heartbeatMs: 50, heartbeatMisses: 6 });
    const spin = 'for (const end = Date.now() + 1_000; Date.now() < end; ); return 1;';
    const { isolate, call, fates } = await plugin('slow', spin, { timeoutMs: 10_000 });
    expect(await call(10_000)).toBe(1);
    // Also when its caller has given up.
    await expect(call(100)).rejects.toMatchObject({
      code: expect.stringMatching(/^(DEADLINE_EXCEEDED|PLUGIN_TIMEOUT)$/),
    });
    expect(await call(10_000)).toBe(1);
    expect(fates).toEqual([]);
    expect(isolate.cell.exited).toBe(false);
  });

  it('does not take a cell that gets no CPU for one that is stopped', async () => {
    start({ heartbeatMs: 50, heartbeatMisses: 6 });
    const spin = 'for (const end = Date.now() + 1_000; Date.now() < end; ); return 1;';
    const { isolate, call, fates } = await plugin('slow', spin, { timeoutMs: 10_000 });
    setPriority(isolate.cell.pid!, constants.priority.PRIORITY_LOW);
    const others = Array.from({ length: availableParallelism() }, () => spawn(process.execPath, ['-e', 'for (;;);']));
    try {
      expect(await call(10_000)).toBe(1);
    } finally {
      for (const other of others) other.kill('SIGKILL');
    }
    expect(fates).toEqual([]);
  });

  it('hears what a run says before it is over', async () => {
    start();
    const said = Promise.withResolvers<void>();
    const handler = `console.log('now'); for (let turn = 0; turn < 9; turn++) await null;
      for (const end = Date.now() + 1_000; Date.now() < end; ); return 1;`;
    const { call } = await plugin('a', handler, { timeoutMs: 10_000, onEvent: () => said.resolve() });
    const order: string[] = [];
    const done = call(10_000).then(() => order.push('done'));
    await said.promise;
    await new Promise((resolve) => setTimeout(resolve, 50));
    order.push('heard');
    await done;
    expect(order).toEqual(['heard', 'done']);
  });

  it('runs side by side what shares a cell', async () => {
    start({ maxCells: 1 });
    const spin = 'for (const end = Date.now() + 1_000; Date.now() < end; ); return 1;';
    const [slow, quick] = [await plugin('slow', spin, { timeoutMs: 5_000 }), await plugin('quick', 'return 1;')];
    expect(quick.isolate.cell).toBe(slow.isolate.cell);
    const order: string[] = [];
    const done = slow.call(5_000).then(() => order.push('slow'));
    await quick.call();
    order.push('quick');
    await done;
    expect(order).toEqual(['quick', 'slow']);
  });

  it('has the engine tidy up in an isolate without neighbours', async () => {
    start();
    const handler = `globalThis.registry ??= new FinalizationRegistry(() => { globalThis.gone = true; });
      globalThis.registry.register({}, 1);
      const kept = []; for (let n = 0; n < 200_000; n++) kept.push({ n, text: String(n) });
      return globalThis.gone ?? false;`;
    const { call } = await plugin('a', handler, { timeoutMs: 5_000 });
    await expect.poll(() => call(5_000), { timeout: 20_000, interval: 100 }).toBe(true);
  });

  it('ends an isolate that hangs in what the engine does on its own', async () => {
    start();
    const handler = `globalThis.registry ??= new FinalizationRegistry(() => { for (;;); });
      globalThis.registry.register({}, 1);
      const kept = []; for (let n = 0; n < 200_000; n++) kept.push({ n, text: String(n) });
      return 1;`;
    const { call, fates } = await plugin('evil', handler, { timeoutMs: 60_000 });
    await expect.poll(() => call(2_000).catch(() => 'failed'), { timeout: 20_000, interval: 100 }).toBe('failed');
    await expect.poll(() => fates, { timeout: 10_000 }).toMatchObject([{ culprit: 'yes' }]);
  });

  it('kills a cell that does not answer its heartbeat', async () => {
    start({ heartbeatMisses: 5 });
    const { isolate, fates } = await plugin('a', 'return 1;');
    const { pid } = isolate.cell;
    process.kill(pid!, 'SIGSTOP');
    await settled(pid);
    await expect.poll(() => fates).toMatchObject([{ why: 'crashed' }]);
  });

  it('kills a cell that uses more memory than its isolates may', async () => {
    const options = start();
    const { isolate, fates } = await plugin('a', 'return 1;', { memoryMb: 8 });
    // What a hostile plugin needs a while for: now it has more than it may.
    options.cellBaseMb = 1;
    await settled(isolate.cell.pid);
    await expect.poll(() => fates).toMatchObject([{ why: 'crashed' }]);
  });

  it('leaves nothing of a bundle that does not load', async () => {
    start();
    const refused = (code: string) =>
      expect(plugin('bad', '', { code })).rejects.toMatchObject({ code: expect.stringMatching(/^PLUGIN_/) });
    await refused('throw new Error("no")');
    await refused('syntax error');
    await refused('for (;;);');
    await refused('globalThis.__atollPlugin = {}');
    const { call } = await plugin('good', 'return 1;');
    expect(await call()).toBe(1);
  });

  it('is over when it is closed', async () => {
    start();
    const { call } = await plugin('a', 'await new Promise(() => {});');
    const failed = expect(call()).rejects.toBeInstanceOf(AtollError);
    await supervisor.close();
    await failed;
    await expect(plugin('b', 'return 1;')).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
  });
});
