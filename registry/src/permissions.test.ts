import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseManifest } from './manifest.js';
import { originCovers } from './origin-covers.js';
import { diffPermissions } from './permissions.js';
import { topicCovers } from './topic-covers.js';

const manifest = (field: object) => parseManifest({ name: 'a', version: '1.0.0', atoll: { id: 'a', ...field } }, 'a');
const asking = (permissions: object) => manifest({ permissions });
const added = (before: object, after: object) =>
  diffPermissions(asking(before), asking(after)).added.map(({ kind, value }) =>
    value === undefined ? kind : `${kind} ${value}`,
  );

describe('the difference between what two versions ask for', () => {
  it('is everything for a first version', () => {
    const first = manifest({
      mounts: ['/api/v1/a'],
      consumes: { llm: '*' },
      permissions: {
        net: ['https://x.com'],
        storage: true,
        secrets: ['KEY'],
        events: { publish: ['a.*'], subscribe: ['b.c'] },
      },
    });
    expect(diffPermissions(undefined, first)).toEqual({
      added: [
        { kind: 'net', value: 'https://x.com' },
        { kind: 'storage' },
        { kind: 'secrets', value: 'KEY' },
        { kind: 'events.publish', value: 'a.*' },
        { kind: 'events.subscribe', value: 'b.c' },
        { kind: 'services', value: 'llm' },
        { kind: 'mounts', value: '/api/v1/a' },
      ],
      removed: [],
      needsConsent: true,
    });
    expect(diffPermissions(first, first)).toEqual({ added: [], removed: [], needsConsent: false });
  });

  it.each<[string, object, object, string[]]>([
    ['a narrower origin', { net: ['https://*.x.com'] }, { net: ['https://api.x.com'] }, []],
    ['another origin', { net: ['https://x.com'] }, { net: ['https://y.com'] }, ['net https://y.com']],
    ['a wildcard', { net: ['https://api.x.com'] }, { net: ['https://*.x.com'] }, ['net https://*.x.com']],
    ['plain http', { net: ['https://x.com'] }, { net: ['http://x.com'] }, ['net http://x.com']],
    ['another port', { net: ['https://x.com'] }, { net: ['https://x.com:8443'] }, ['net https://x.com:8443']],
    ['the same port, written out', { net: ['https://x.com'] }, { net: ['https://x.com:443'] }, []],
    ['any address', { net: ['https://x.com'] }, { net: ['*'] }, ['net *']],
    ['a public name, where any were allowed', { net: ['*'] }, { net: ['https://x.com'] }, []],
    [
      'a private address, where any public ones were',
      { net: ['*'] },
      { net: ['*', 'http://127.0.0.1:1'] },
      ['net http://127.0.0.1:1'],
    ],
    [
      'localhost, where any public ones were',
      { net: ['*'] },
      { net: ['http://localhost:1'] },
      ['net http://localhost:1'],
    ],
    ['a flag', {}, { gpu: true }, ['gpu']],
    ['a flag less', { gpu: true }, {}, []],
    ['a secret', { secrets: ['A'] }, { secrets: ['A', 'B'] }, ['secrets B']],
    ['a topic within', { events: { publish: ['a.*'] } }, { events: { publish: ['a.b.c'] } }, []],
    ['a wider topic', { events: { publish: ['a.b'] } }, { events: { publish: ['a.*'] } }, ['events.publish a.*']],
    [
      'to listen to what it published',
      { events: { publish: ['a.b'] } },
      { events: { publish: ['a.b'], subscribe: ['a.b'] } },
      ['events.subscribe a.b'],
    ],
  ])('%s', (_, before, after, expected) => {
    expect(added(before, after)).toEqual(expected);
  });

  it('shows what is no longer asked for', () => {
    expect(diffPermissions(asking({ net: ['https://*.x.com'] }), asking({ net: ['https://api.x.com'] }))).toEqual({
      added: [],
      removed: [{ kind: 'net', value: 'https://*.x.com' }],
      needsConsent: false,
    });
  });

  it('counts another default for an address in the configuration', () => {
    const withDefault = (value: string) =>
      manifest({
        permissions: { net: ['config:host'] },
        config: { type: 'object', properties: { host: { type: 'string', default: value } } },
      });
    expect(diffPermissions(withDefault('https://good.com/v1'), withDefault('https://good.com/v2')).added).toEqual([]);
    expect(diffPermissions(withDefault('https://good.com'), withDefault('https://evil.com')).added).toEqual([
      { kind: 'net', value: 'https://evil.com' },
    ]);
  });

  it('counts further services and paths', () => {
    expect(diffPermissions(manifest({}), manifest({ consumes: { llm: '*' }, mounts: ['/x'] })).added).toEqual([
      { kind: 'services', value: 'llm' },
      { kind: 'mounts', value: '/x' },
    ]);
    expect(diffPermissions(manifest({ mounts: ['/x'] }), manifest({ mounts: ['/x/y'] })).needsConsent).toBe(false);
  });
});

describe('what includes what', () => {
  const segment = fc.constantFrom('a', 'b');
  const pattern = fc
    .tuple(fc.array(fc.constantFrom('a', 'b', '*'), { minLength: 1, maxLength: 3 }), fc.constantFrom('', '.**'))
    .map(([parts, rest]) => parts.join('.') + rest);
  const topic = fc.array(segment, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.'));

  it('a topic grant that includes another allows everything that one allows', () => {
    fc.assert(
      fc.property(fc.oneof(pattern, fc.constant('**')), pattern, topic, (wide, narrow, name) => {
        if (topicCovers(wide, narrow) && topicCovers(narrow, name)) expect(topicCovers(wide, name)).toBe(true);
        expect(topicCovers(wide, wide)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('an origin grant that includes another allows everything that one allows', () => {
    const host = fc.constantFrom('x.com', 'a.x.com', 'b.a.x.com', '127.0.0.1', 'localhost', '[::1]', 'evilx.com');
    const port = fc.constantFrom('', ':443', ':80', ':8080');
    const origin = fc
      .tuple(fc.constantFrom('http', 'https'), host, port)
      .map(([scheme, name, number]) => `${scheme}://${name}${number}`);
    const entry = fc.oneof(
      origin,
      fc.constantFrom('*', 'https://*.x.com', 'https://*.a.x.com', 'http://*.x.com', 'config:host'),
    );
    fc.assert(
      fc.property(entry, entry, origin, (wide, narrow, address) => {
        if (originCovers(wide, narrow) && originCovers(narrow, address)) expect(originCovers(wide, address)).toBe(true);
        expect(originCovers(wide, wide)).toBe(true);
      }),
      { numRuns: 3000 },
    );
    expect(originCovers('https://*.x.com', 'https://x.com')).toBe(false);
    expect(originCovers('https://*.x.com', 'https://evilx.com')).toBe(false);
  });
});
