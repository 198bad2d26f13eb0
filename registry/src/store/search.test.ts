import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseManifest } from '../manifest.js';
import { Catalogue, type StoredVersion } from './catalogue.js';
import type { SearchQuery } from './search.js';

interface Sample {
  version?: string;
  atoll?: object;
  description?: string;
  keywords?: string[];
  readme?: string;
  stored?: Partial<StoredVersion>;
}

function stored(
  id: string,
  { version = '1.0.0', atoll = {}, stored: more = {}, keywords = [], ...facts }: Sample = {},
): StoredVersion {
  const manifest = parseManifest({ name: `atoll-plugin-${id}`, version, atoll: { id, ...atoll } }, id);
  return {
    id,
    name: manifest.name,
    version,
    publisher: 'somebody',
    verified: false,
    integrity: 'sha512-x',
    origin: 'local',
    channel: 'latest',
    publishedAt: '2030-01-01T00:00:00.000Z',
    facts: { manifest, keywords, size: 1, unpackedSize: 1, ...facts },
    ...more,
  };
}

const catalogue = new Catalogue([
  stored('llm-router', {
    atoll: { title: 'Language models', category: 'models', provides: { llm: '1.0.0' }, permissions: { net: ['*'] } },
    description: 'Routes chats to providers',
    keywords: ['openai', 'chat'],
    stored: { verified: true },
  }),
  stored('weather', {
    atoll: { category: 'tools', permissions: { net: ['https://api.weather.example'], cache: true } },
    readme: 'Ask for rain in Straßburg.',
  }),
  stored('notes', { atoll: { category: 'tools', permissions: { storage: true } }, description: 'Keeps notes' }),
  stored('future', { atoll: { category: 'tools', engine: '^2.0.0' } }),
  stored('gone', { stored: { yanked: { at: '', reason: 'bad' } } }),
  stored('evil', { stored: { quarantined: 'revoked' } }),
  stored('beta', { version: '1.0.0-rc.1', stored: { channel: 'next' } }),
]);

const ids = (query: SearchQuery) => catalogue.search(query).items.map(({ id }) => id);

describe('words', () => {
  it.each<[string, string[]]>([
    ['weather', ['weather']],
    ['language', ['llm-router']],
    ['LANGUAGE models', ['llm-router']],
    ['openai', ['llm-router']],
    ['wether', ['weather']],
    ['not', ['notes']],
    ['llm', ['llm-router']],
    ['straßburg', ['weather']],
    ['atoll-plugin-notes', ['notes']],
    ['nothing like this', []],
    ['weather notes', []],
    ['"(*[', []],
  ])('%s', (q, expected) => {
    if (expected.length === 0) expect(ids({ q })).toEqual([]);
    else expect(ids({ q })[0]).toBe(expected[0]);
  });

  it('find nothing that can’t be installed', () => {
    expect(ids({})).toEqual(['beta', 'future', 'llm-router', 'notes', 'weather']);
    expect(ids({ q: 'gone' })).toEqual([]);
    expect(ids({ q: 'evil' })).toEqual([]);
  });

  it('put a name before a mention', () => {
    const both = new Catalogue([stored('a-mention', { readme: 'Works with chess.' }), stored('chess')]);
    expect(both.search({ q: 'chess' }).items.map(({ id }) => id)).toEqual(['chess', 'a-mention']);
  });
});

describe('filters', () => {
  it.each<[SearchQuery, string[]]>([
    [{ category: 'tools' }, ['future', 'notes', 'weather']],
    [{ verified: true }, ['llm-router']],
    [{ verified: false, category: 'models' }, []],
    [{ permissions: ['net'] }, ['llm-router', 'weather']],
    [{ permissions: ['net', 'cache'] }, ['weather']],
    [{ withoutPermissions: ['net', 'storage'] }, ['beta', 'future']],
    [{ compatibleWith: '1.4.0', category: 'tools' }, ['notes', 'weather']],
    [{ compatibleWith: '2.0.0', category: 'tools' }, ['future', 'notes', 'weather']],
    [{ q: 'weather', category: 'models' }, []],
  ])('%j', (query, expected) => {
    expect(ids(query)).toEqual(expected);
  });

  it('are counted beforehand, each as if it were not set', () => {
    const { facets, total } = catalogue.search({ category: 'tools', compatibleWith: '1.0.0' });
    expect(total).toBe(2);
    expect(facets).toEqual({
      category: { models: 1, other: 1, tools: 2 },
      verified: { true: 0, false: 2 },
      permissions: { cache: 1, net: 1, storage: 1 },
      compatible: { true: 2, false: 1 },
    });
  });
});

describe('pages', () => {
  const many = Array.from({ length: 23 }, (_, at) =>
    stored(`plugin-${String(at).padStart(2, '0')}`, { description: at % 3 === 0 ? 'chess' : 'chess chess' }),
  );
  const large = new Catalogue(many);

  function all(source: Catalogue, query: SearchQuery): string[] {
    const found: string[] = [];
    let cursor: string | undefined;
    do {
      const page = source.search({ ...query, ...(cursor !== undefined && { cursor }) });
      found.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return found;
  }

  it('together are everything, once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.constantFrom(undefined, 'chess'), (limit, q) => {
        const whole = large.search({ limit: 100, ...(q !== undefined && { q }) }).items.map(({ id }) => id);
        expect(all(large, { limit, ...(q !== undefined && { q }) })).toEqual(whole);
        expect(whole).toHaveLength(23);
      }),
    );
  });

  it('go on where they were when plugins come and go', () => {
    const first = large.search({ limit: 10 });
    const changed = new Catalogue([...many.slice(5), stored('plugin-03-new')]);
    const rest = all(changed, { limit: 10, cursor: first.nextCursor! });
    expect(rest).toEqual(many.slice(10).map(({ id }) => id));
  });

  it('are bounded', () => {
    expect(large.search({ limit: 0 }).items).toHaveLength(1);
    expect(large.search({ limit: 1e9 }).items).toHaveLength(23);
    expect(large.search().items).toHaveLength(20);
  });

  it.each(['x', '', 'bnVsbA', Buffer.from('{"a":1}').toString('base64url'), Buffer.from('[1]').toString('base64url')])(
    'do not begin with the cursor "%s"',
    (cursor) => {
      expect(() => large.search({ cursor })).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }) as Error);
    },
  );
});
