import { AtollError } from '@atoll/plugin-sdk/contract';
import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { STREAM_WINDOW } from '../protocol/frame-type.js';
import { Allowance } from './allowance.js';
import { HostStream } from './host-stream.js';

function open() {
  const memory = new Allowance(STREAM_WINDOW * 8);
  const options = { memory, credit: vi.fn<(bytes: number) => void>(), waiting: vi.fn(), done: vi.fn() };
  return { stream: new HostStream(options), ...options };
}

async function readAll(stream: HostStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += chunk.toString();
  return text;
}

it('gives chunks in order and grants what was read, whatever the order of pushes and reads', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ minLength: 1, maxLength: 20 })),
      fc.func(fc.boolean()),
      async (texts, early) => {
        const { stream } = open();
        const reading = early(texts) ? readAll(stream) : undefined;
        for (const text of texts) expect(stream.push(Buffer.from(text))).toBe(true);
        stream.end();
        expect(await (reading ?? readAll(stream))).toBe(texts.join(''));
      },
    ),
  );
});

it('grants no more than what was read', async () => {
  const { stream, credit } = open();
  for (let n = 0; n < 4; n++) stream.push(Buffer.alloc(STREAM_WINDOW / 4));
  expect(credit).not.toHaveBeenCalled();
  await stream.next();
  await stream.next();
  expect(credit.mock.calls.flat().reduce((sum, n) => sum + n, 0)).toBe(STREAM_WINDOW / 2);
});

it('refuses a guest that sends far more than it was granted, and keeps nothing of empty chunks', () => {
  const { stream } = open();
  for (let n = 0; n < 100_000; n++) expect(stream.push(Buffer.alloc(0))).toBe(true);
  let pushed = 0;
  while (stream.push(Buffer.alloc(65_536)) && pushed < 1_000) pushed++;
  expect(pushed * 65_536).toBeLessThanOrEqual(STREAM_WINDOW * 6);
});

it('tells its error once, after what came before it', async () => {
  const { stream, done } = open();
  stream.push(Buffer.from('a'));
  stream.fail(new AtollError('PLUGIN_CRASHED'));
  expect((await stream.next()).value?.toString()).toBe('a');
  await expect(stream.next()).rejects.toMatchObject({ code: 'PLUGIN_CRASHED' });
  expect(await stream.next()).toEqual({ done: true, value: undefined });
  expect(done.mock.calls).toEqual([[false]]);
});

it('is cancelled when the reader breaks off, and a waiting reader is let go', async () => {
  const { stream, done } = open();
  const waiting = stream.next();
  await stream.return();
  expect(await waiting).toEqual({ done: true, value: undefined });
  stream.end();
  expect(done.mock.calls).toEqual([[true]]);
  expect(stream.push(Buffer.from('late'))).toBe(true);
  expect(await stream.next()).toEqual({ done: true, value: undefined });
});

it('counts what waits to be read, until it is read, given up or failed', async () => {
  const memory = new Allowance(100);
  const options = { memory, credit: () => {}, waiting: () => {}, done: () => {} };
  const [first, second, third] = [new HostStream(options), new HostStream(options), new HostStream(options)];
  for (const stream of [first, second, third]) expect(stream.push(Buffer.alloc(30))).toBe(true);
  expect(first.push(Buffer.alloc(30))).toBe(false);
  await first.next();
  expect(memory.held).toBe(60);
  await second.return();
  third.end();
  // Also when it has ended: who should have read it is gone.
  third.fail(new AtollError('CANCELLED'));
  expect(memory.held).toBe(0);
  expect(await third.next()).toMatchObject({ value: Buffer.alloc(30) });
  expect(memory.held).toBe(0);
});

it('tells when it begins to be read', async () => {
  const { stream, waiting } = open();
  stream.push(Buffer.from('x'));
  expect(waiting).not.toHaveBeenCalled();
  await stream.next();
  expect(waiting.mock.calls).toEqual([[false]]);
});
