import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Gate } from './gate.js';
import { createLocalOps, type LocalOps } from './index.js';

/* What a guest that has got hold of its bridge could send. */

let ops: LocalOps;
beforeEach(() => {
  ops = createLocalOps();
});
afterEach(() => ops.dispose());

type Answer = { e?: [string, string]; v?: Record<string, unknown> & { $key?: number } };
const ask = async (operation: string, meta: unknown, bytes?: Buffer) => {
  const reply = await ops.call(operation, meta, bytes);
  return { ...(reply.meta as Answer), bytes: reply.bytes };
};
const subtle = (operation: string, ...args: unknown[]) =>
  ask('crypto.subtle', { operation, args }, Buffer.from('data'));
const hmac = async (secret = '0102') =>
  (await subtle('importKey', 'raw', { $hex: secret }, { name: 'HMAC', hash: 'SHA-1' }, false, ['sign'])).v!.$key!;

describe('local operations', () => {
  it('answer anything with data, and never throw', async () => {
    const names = [
      'crypto.subtle', 'crypto.release', 'compression.open', 'compression.write', 'compression.read', 'compression.end', 'compression.close', '', 'x.y',
    ]; // biome-ignore format: a list
    const operations = [
      'digest',
      'sign',
      'generateKey',
      'importKey',
      'deriveBits',
      'wrapKey',
      'constructor',
      '__proto__',
    ];
    const meta = fc.oneof(
      fc.jsonValue(),
      fc.record({
        id: fc.jsonValue(),
        ids: fc.jsonValue(),
        format: fc.constantFrom('gzip', 'x', 5),
        decompress: fc.boolean(),
      }),
      fc.record({ operation: fc.constantFrom(...operations), args: fc.array(fc.jsonValue(), { maxLength: 5 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), meta, fc.option(fc.uint8Array()), async (name, value, bytes) => {
        // A read of an open stream waits for input, as it should.
        if (name === 'compression.read') return;
        const reply = await ops.call(name, value, bytes ? Buffer.from(bytes) : undefined);
        expect(() => JSON.stringify(reply.meta)).not.toThrow();
      }),
      { numRuns: 500 },
    );
    await fc.assert(
      fc.property(fc.string(), fc.string(), (name, argument) => {
        for (const operation of [name, 'random', 'idna']) expect(typeof ops.sync(operation, argument)).toBe('string');
      }),
    );
    for (const count of ['65537', '1e9', '-1', 'NaN', '1.5']) expect(ops.sync('random', count)).toBe('');
  });

  it('show no paths and no stacks of the host', async () => {
    for (const args of [
      ['spki', { $hex: '00' }, { name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify']],
      ['jwk', {}, 'AES-GCM', true, []],
    ]) {
      const { e } = await subtle('importKey', ...args);
      expect(e?.[1]).not.toMatch(/node:|\/|at /);
    }
  });
});

describe('crypto of a guest', () => {
  it('has only what is listed and bounded', async () => {
    const bad: [string, ...unknown[]][] = [
      ['digest', 'cSHAKE128', { $data: 1 }],
      ['digest', { name: 'KMAC128', length: 2 ** 31 }, { $data: 1 }],
      ['generateKey', { name: 'ML-KEM-1024' }, true, ['sign']],
      ['importKey', 'raw-secret', { $data: 1 }, 'Argon2id', false, ['deriveBits']],
      [
        'importKey',
        'raw',
        { $data: 1 },
        { name: 'HMAC', hash: { name: 'cSHAKE256', length: 2 ** 31 } },
        false,
        ['sign'],
      ],
    ];
    for (const [operation, ...args] of bad) {
      expect((await subtle(operation, ...args)).e?.[0], JSON.stringify(args)).toBe('NotSupportedError');
    }
    expect((await ask('crypto.subtle', { operation: 'constructor', args: [] })).e?.[0]).toBe('TypeError');
  });

  it('refuses imported RSA keys that are too slow to use', async () => {
    const n = Buffer.alloc(2_048, 255).toString('base64url');
    const { e } = await subtle(
      'importKey',
      'jwk',
      { kty: 'RSA', n, e: 'AQAB' },
      { name: 'RSA-PSS', hash: 'SHA-256' },
      false,
      ['verify'],
    );
    expect(e).toEqual(['OperationError', expect.stringContaining('8192')]);
  });

  it('drops the key that was not used for longest when there are too many', async () => {
    const first = await hmac();
    const idle = await hmac('0304');
    for (let at = 0; at < 10_000; at++) {
      if (at % 1_000 === 0) expect((await subtle('sign', 'HMAC', { $key: first }, { $data: 1 })).bytes).toBeDefined();
      await hmac('0506');
    }
    expect((await subtle('sign', 'HMAC', { $key: first }, { $data: 1 })).bytes).toBeDefined();
    expect((await subtle('sign', 'HMAC', { $key: idle }, { $data: 1 })).e?.[0]).toBe('InvalidAccessError');
  });

  it('releases keys', async () => {
    const keys = [await hmac(), await hmac()];
    await ask('crypto.release', { ids: keys });
    for (const $key of keys) expect((await subtle('sign', 'HMAC', { $key }, { $data: 1 })).e).toBeDefined();
  });

  it('ends what waits when its isolate ends', async () => {
    const rsa = { name: 'RSA-PSS', modulusLength: 4096, publicExponent: { $hex: '010001' }, hash: 'SHA-256' };
    const waiting = Array.from({ length: 50 }, () => subtle('generateKey', rsa, true, ['sign', 'verify']));
    ops.dispose();
    const answers = await Promise.all(waiting);
    expect(answers.filter(({ e }) => e).length).toBeGreaterThanOrEqual(48);
  });
});

describe('compression of a guest', () => {
  it('refuses too many streams, too large chunks, and two writes at once', async () => {
    const open = () => ask('compression.open', { format: 'gzip', decompress: true });
    const ids = (await Promise.all(Array.from({ length: 70 }, open))).map(({ v }) => v);
    expect(ids.filter((id) => id !== undefined)).toHaveLength(64);
    const id = ids[0];
    expect((await ask('compression.write', { id }, Buffer.alloc(65_537))).e).toBeDefined();
    const reads = [ask('compression.read', { id }), ask('compression.read', { id })];
    expect((await reads[1])?.e).toEqual(['TypeError', 'The stream is busy.']);
    await ask('compression.close', { id });
    await reads[0];
    expect((await open()).v).toBeDefined();
  });

  it('reads no further ahead than its buffers reach', async () => {
    const { gzipSync } = await import('node:zlib');
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    const { v: id } = await ask('compression.open', { format: 'gzip', decompress: true });
    const before = process.memoryUsage.rss();
    const written = ask('compression.write', { id }, bomb.subarray(0, 50_000));
    const first = await ask('compression.read', { id });
    expect(first.bytes!.length).toBeLessThan(1_000_000);
    expect(process.memoryUsage.rss() - before).toBeLessThan(20_000_000);
    await ask('compression.close', { id });
    await written;
  });
});

describe('Gate', () => {
  it('lets so many run at a time, in order', async () => {
    const gate = new Gate(2);
    let running = 0;
    let most = 0;
    const order: number[] = [];
    const task = (at: number) => async () => {
      most = Math.max(most, ++running);
      order.push(at);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      if (at === 3) throw new Error('expected');
    };
    const all = await Promise.allSettled(Array.from({ length: 10 }, (_, at) => gate.run(task(at))));
    expect([most, order]).toEqual([2, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]);
    expect(all.filter(({ status }) => status === 'rejected')).toHaveLength(1);
  });
});
