import { AtollError } from '@atoll/plugin-sdk/contract';
import { expect, it, vi } from 'vitest';
import type { GuestReply, GuestRequest } from '../../sandbox/host/guest-call.js';
import { BodyKind } from '../../sandbox/protocol/frame-type.js';
import { Masker } from './masker.js';
import { CallRecorder } from './recorder.js';
import { Registered } from './registered.js';

const registered = new Registered();
registered.route(0, '/x/a', { method: 'POST', path: '/a' });
const make = (options: object = {}) =>
  new CallRecorder(
    { sample: 1, keep: 10, maxBytes: 100_000, maxCallBytes: 1_000, ...options },
    { registered, masker: new Masker(['password']), base: new Map() },
  );
const request = (parts: Partial<GuestRequest> = {}): GuestRequest => ({
  meta: '{"m":"http","i":0,"v":"POST","u":"/x/a","a":{},"q":{},"h":{}',
  timeoutMs: 1_000,
  traceparent: '',
  ...parts,
});
const reply = (parts: Partial<GuestReply> = {}): GuestReply => ({
  meta: '',
  kind: BodyKind.TEXT,
  body: Buffer.from('{"ok":true}'),
  ...parts,
});
async function* chunks(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text);
}

it('hands the very reply on, and keeps what went in and came out', async () => {
  const recorder = make();
  const answer = reply();
  const given = request({ body: '{"password":"xyzzy"}' });
  const call = vi.fn(async () => answer);
  expect(await recorder.record(given, call)).toBe(answer);
  expect(call).toHaveBeenCalledWith(given);
  expect(recorder.ring.calls()).toMatchObject([
    { target: { method: 'POST', path: '/x/a' }, output: { status: 200, body: { json: { ok: true } } } },
  ]);
  expect(JSON.stringify(recorder.ring.calls())).not.toContain('xyzzy');
});

it('hands errors on, and keeps those that are the doing of the plugin', async () => {
  const recorder = make();
  for (const code of ['NOT_FOUND', 'CANCELLED', 'PLUGIN_TIMEOUT'] as const) {
    const error = new AtollError(code);
    await expect(recorder.record(request(), () => Promise.reject(error))).rejects.toBe(error);
  }
  expect(recorder.ring.calls()).toMatchObject([{ output: { error: { code: 'NOT_FOUND' } } }]);
  expect(recorder.leftOut.notRepeatable).toBe(2);
});

it('leaves out what is too large or no text, and counts it', async () => {
  const recorder = make();
  await recorder.record(request({ body: 'x'.repeat(2_000) }), async () => reply());
  await recorder.record(request(), async () => reply({ body: Buffer.alloc(2_000, 'x') }));
  await recorder.record(request({ body: Buffer.from([0xff, 0xfe]) }), async () => reply());
  const long = await recorder.record(request(), async () =>
    reply({ stream: chunks('x'.repeat(900), 'y'.repeat(900)) }),
  );
  for await (const chunk of long.stream!) void chunk;
  expect(recorder.leftOut).toMatchObject({ tooLarge: 3, binary: 1 });
  expect(recorder.ring.size).toBe(0);
});

it('passes streams on chunk by chunk, and keeps them when they end or are given up', async () => {
  const recorder = make();
  const whole = await recorder.record(request(), async () => reply({ stream: chunks('a', 'b\n', 'c') }));
  const got: string[] = [];
  for await (const chunk of whole.stream!) got.push(chunk.toString());
  expect(got).toEqual(['a', 'b\n', 'c']);
  const source = { next: vi.fn(), return: vi.fn(async () => ({ done: true, value: undefined })) };
  const given = { ...source, [Symbol.asyncIterator]: () => given } as unknown as AsyncIterableIterator<Buffer>;
  const dropped = await recorder.record(request(), async () => reply({ stream: given }));
  await dropped.stream?.return?.();
  expect(source.return).toHaveBeenCalledOnce();
  expect(source.next).not.toHaveBeenCalled();
  expect(recorder.ring.calls().map(({ output }) => output.chunks)).toEqual([['ab', 'c'], []]);
});

it('takes no more calls at once than it may, and keeps the later ones', async () => {
  const recorder = make({ keep: 100 });
  const ends: ((answer: GuestReply) => void)[] = [];
  const all = Array.from({ length: 70 }, () =>
    recorder.record(request(), () => new Promise((resolve) => ends.push(resolve))),
  );
  for (const end of ends) end(reply());
  await Promise.all(all);
  expect(recorder.leftOut.busy).toBe(6);
  expect(recorder.ring.size).toBe(64);
});

it('lets the call go on when it can make nothing of it', async () => {
  const recorder = make();
  const odd = reply({ meta: 'no JSON' });
  expect(await recorder.record(request({ meta: '{"m":"http","i":' }), async () => odd)).toBe(odd);
  expect(await recorder.record(request(), async () => odd)).toBe(odd);
});
