import { describe, expect, it } from 'vitest';
import { secretsOfConfig, maskCall } from './call-mask.js';
import { type Known, Masker } from './masker.js';
import type { RecordedCall } from './recorded-call.js';

const masker = new Masker(['password', 'token', 'authorization', 'email']);
const masked = <T>(value: T, by = masker): T => {
  const known: Known = new Map();
  by.collect(value, known);
  return by.mask(value, known);
};
const call = (parts: Partial<RecordedCall>): RecordedCall => ({
  target: { kind: 'http', method: 'POST', path: '/x' },
  at: 0,
  ms: 0,
  meta: {},
  output: {},
  hostCalls: [],
  ...parts,
});

describe('the masker', () => {
  it.each([
    ['a field', { password: 'xyzzy-plugh' }],
    ['a field of another spelling', { Access_Token: 'xyzzy-plugh' }],
    ['all within a field', { token: { deep: ['xyzzy-plugh'] } }],
    ['a header in a list', [['Authorization', 'Basic xyzzy-plugh']]],
    ['the same value elsewhere', { password: 'xyzzy-plugh', text: 'you said xyzzy-plugh' }],
    ['a key', { password: 'xyzzy-plugh', 'of xyzzy-plugh': 1 }],
    ['JSON in a text', { line: 'data: {"password":"xyzzy-plugh","a":1}' }],
    ['a query', '/x?token=xyzzy-plugh&a=1'],
    ['an encoded query', { u: '/x?email=xyzzy%20-plugh', q: { email: 'xyzzy -plugh' } }],
    ['a credential in a text', 'with Bearer xyzzy-plugh in it'],
    ['an address', 'to xyzzy-plugh@example.org now'],
    ['a phone number', { text: 'call +49 170 555-0199 (xyzzy)'.replace('xyzzy', ''), n: '+49 170 555-0199' }],
    ['a number', { token: 123_456_789 }],
  ])('masks %s', (_, value) => {
    const text = JSON.stringify(masked(value));
    expect(text).not.toMatch(/xyzzy|555-0199|123456789/);
    expect(text).toMatch(/masked-|\+000|9000/);
  });

  it('leaves the rest alone', () => {
    const plain = { maxTokens: 5, text: 'a+b', when: '2026-01-01T10:00:00.000Z', id: 'b6c2', list: [1, null, true] };
    expect(masked(plain)).toEqual(plain);
    expect(masked({ authorization: '{{secret:KEY}}' })).toEqual({ authorization: '{{secret:KEY}}' });
  });

  it('gives equal values equal tokens, which stay what they are, and another masker gives others', () => {
    const value = { email: 'ann@example.org', token: 'abcdef', phone: '+49 170 5550199', n: { token: 1_234_567 } };
    const once = masked(value);
    expect(masked(value)).toEqual(once);
    expect(masked(once)).toEqual(once);
    expect(once.email).toMatch(/^[\w-]+@masked\.invalid$/);
    expect(masked(value, new Masker(['email', 'token'])).token).not.toBe(once.token);
  });
});

describe('masking a call', () => {
  it('follows what schemas mark, in whatever part it occurs', () => {
    const schema = { type: 'object', properties: { pin: { type: 'string', secret: true } } };
    const given = call({
      body: { json: { pin: 'xyzzy-77' } },
      output: { body: { json: { said: 'xyzzy-77' } } },
      hostCalls: [{ method: 'a.b', input: { body: { json: ['xyzzy-77'] } }, answer: { stream: ['1 xyzzy-77'] } }],
    });
    expect(JSON.stringify(maskCall(given, masker, { base: new Map(), schemas: { body: schema } }))).not.toContain(
      'xyzzy',
    );
  });

  it('masks secrets of the configuration and the ids of people', () => {
    const base = secretsOfConfig({ properties: { key: { secret: true } } }, { key: 'xyzzy-key', a: 'open' }, masker);
    const given = call({
      principal: { kind: 'user', id: 'user-4711', user: 'user-4711', roles: [] },
      output: { body: { text: 'user-4711 has xyzzy-key, open' } },
    });
    const text = JSON.stringify(maskCall(given, masker, { base }));
    expect(text).not.toMatch(/4711|xyzzy/);
    expect(text).toContain('open');
  });

  it('gives a call up whose stream has a value across two chunks', () => {
    const given = (chunks: string[]) => maskCall(call({ output: { chunks } }), masker, { base: new Map() });
    expect(given(['to ann@exam', 'ple.org'])).toBeUndefined();
    expect(given(['to ann@example.org', ' now'])).toBeDefined();
  });
});
