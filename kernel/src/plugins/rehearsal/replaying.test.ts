import { describe, expect, it } from 'vitest';
import { compareHostCalls } from './compare.js';
import { diffJson } from './diff.js';
import type { HostCall, RecordedCall } from './recorded-call.js';
import { CallRing } from './ring.js';
import { Tape } from './tape.js';

const host = (method: string, json: unknown, answer: unknown = null): HostCall => ({
  method,
  input: { body: { json } },
  answer: { body: { json: answer } },
});
const refusal = () => ({ error: { code: 'REHEARSAL_NOT_RECORDED' as const, message: 'no' } });
const tape = (calls: HostCall[], lenient = false) => new Tape(calls, { lenient, refusal });

describe('the ring', () => {
  const call = (at: number, text = ''): RecordedCall => ({
    target: { kind: 'channel', name: 'c' },
    at,
    ms: 0,
    meta: {},
    body: { text },
    output: {},
    hostCalls: [],
  });

  it('keeps the latest, in the order in which they began', () => {
    const ring = new CallRing({ keep: 2, maxBytes: 10_000 });
    for (const at of [1, 3, 2]) ring.add(call(at));
    expect(ring.calls().map(({ at }) => at)).toEqual([2, 3]);
    expect(ring.size).toBe(2);
  });

  it('keeps within its bytes, and takes nothing that is larger than all of it', () => {
    const ring = new CallRing({ keep: 100, maxBytes: 1_000 });
    for (let at = 0; at < 20; at++) ring.add(call(at, 'x'.repeat(200)));
    expect(ring.bytes).toBeLessThanOrEqual(1_000);
    expect(ring.calls().at(-1)?.at).toBe(19);
    const { size } = ring;
    ring.add(call(20, 'x'.repeat(2_000)));
    expect(ring.size).toBe(size);
  });
});

describe('the difference of JSON values', () => {
  it.each<[string, unknown, unknown, object[]]>([
    ['equal ones', { a: [1, { b: null }] }, { a: [1, { b: null }] }, []],
    ['a value', { a: 1 }, { a: 2 }, [{ pointer: '/a', before: 1, after: 2 }]],
    ['one more', [1], [1, 2], [{ pointer: '/1', after: 2 }]],
    ['one less', { a: 1, b: 2 }, { a: 1 }, [{ pointer: '/b', before: 2 }]],
    ['another kind', { a: [] }, { a: {} }, [{ pointer: '/a', before: [], after: {} }]],
    ['odd names', { 'a/b~c': 1 }, { 'a/b~c': 2 }, [{ pointer: '/a~1b~0c', before: 1, after: 2 }]],
    ['the whole', null, 'x', [{ pointer: '', before: null, after: 'x' }]],
  ])('of %s', (_, before, after, differences) => {
    expect(diffJson(before, after)).toEqual(differences);
  });
});

describe('a tape', () => {
  it('answers by method and input, whatever the order, each answer once', () => {
    const played = tape([host('get', 1, 'one'), host('get', 2, 'two'), host('get', 1, 'one again')]);
    const ask = (method: string, json: unknown) => played.take(method, { body: { json } });
    expect(ask('get', 2)).toEqual({ body: { json: 'two' } });
    expect(ask('get', 1)).toEqual({ body: { json: 'one' } });
    expect(ask('get', 1)).toEqual({ body: { json: 'one again' } });
    expect(ask('get', 1)).toMatchObject({ error: { code: 'REHEARSAL_NOT_RECORDED' } });
    expect(played.missing).toEqual([]);
    expect(played.added).toHaveLength(1);
  });

  it('refuses other input, unless it is lenient; either way it tells', () => {
    for (const lenient of [false, true]) {
      const played = tape([host('put', { id: 'a' }, 'done')], lenient);
      const answer = played.take('put', { body: { json: { id: 'b' } } });
      expect(answer).toMatchObject(lenient ? { body: { json: 'done' } } : { error: {} });
      expect(played.added).toHaveLength(1);
      expect(played.missing).toHaveLength(lenient ? 0 : 1);
    }
  });

  it('brings what is missing and what came instead of it together', () => {
    const report = compareHostCalls(
      [host('put', { id: 1 }), host('get', 1)],
      [host('put', { id: 2 }), host('drop', 1)],
    );
    expect(report).toEqual({
      changed: [{ method: 'put', differences: [{ pointer: '/body/id', before: 1, after: 2 }] }],
      added: [{ method: 'drop', input: { body: 1 } }],
      missing: [{ method: 'get', input: { body: 1 } }],
    });
  });
});
