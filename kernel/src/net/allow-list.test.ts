import { describe, expect, it } from 'vitest';
import { findGrant, type GrantRequest, parseGrants } from './allow-list.js';

const parse = (entries: string[], rest: Partial<GrantRequest> = {}) =>
  parseGrants({ plugin: 'p', entries, config: {}, ...rest });
const allows = (entries: string[], url: string, rest: Partial<GrantRequest> = {}) =>
  findGrant(parse(entries, rest), new URL(url)) !== undefined;

describe('a grant', () => {
  it.each([
    ['https://api.example.com', 'https://api.example.com/v1?x=1', true],
    ['https://api.example.com', 'https://API.example.com:443/', true],
    ['https://api.example.com', 'http://api.example.com/', false],
    ['https://api.example.com', 'https://api.example.com:8443/', false],
    ['https://api.example.com', 'https://api.example.com.evil.test/', false],
    ['https://api.example.com', 'https://evil-api.example.com/', false],
    ['https://api.example.com', 'https://api.example.com./', false],
    ['https://api.example.com', 'https://api.example.com@evil.test/', false],
    ['https://api.example.com:8443', 'https://api.example.com:8443/', true],
    ['https://*.example.com', 'https://a.b.example.com/', true],
    ['https://*.example.com', 'https://example.com/', false],
    ['https://*.example.com', 'https://evilexample.com/', false],
    ['https://*.example.com', 'https://example.com.evil.test/', false],
    ['http://127.0.0.1:9000', 'http://127.0.0.1:9000/', true],
    ['http://127.0.0.1:9000', 'http://0x7f.1:9000/', true],
    ['http://127.0.0.1:9000', 'http://2130706433:9000/', true],
    ['http://127.0.0.1:9000', 'http://localhost:9000/', false],
    ['http://[::1]:9000', 'http://[0:0:0:0:0:0:0:1]:9000/', true],
    ['http://[::1]:9000', 'http://[::ffff:127.0.0.1]:9000/', false],
    ['https://bücher.example', 'https://xn--bcher-kva.example/', true],
    ['*', 'http://anything.test:1/', true],
  ])('%s and %s: %s', (entry, url, expected) => {
    expect(allows([entry], url)).toBe(expected);
  });

  it.each([
    ['api.example.com', 'expected an origin such as https://api.example.com'],
    ['ftp://api.example.com', 'expected an origin'],
    ['https://', 'expected an origin'],
    ['https://a.*.example.com', 'expected an origin'],
    ['https://*', 'expected an origin'],
    ['https://*.1.2.3.4', 'expected an origin'],
    ['https://a.com:99999', 'expected an origin'],
    ['https://a.com/v1', 'an origin has no a path; got "https://a.com/v1", did you mean https://a.com?'],
    ['https://u:pw@a.com', 'an origin has no credentials; got "https://…@a.com", did you mean https://a.com?'],
    ['https://a.com?x#y', 'an origin has no a query, no a fragment'],
  ])('%s is refused: %s', (entry, message) => {
    expect(() => parse(['https://ok.example', entry])).toThrow(
      expect.objectContaining({ code: 'MANIFEST_INVALID', message: expect.stringContaining(message) }),
    );
    expect(() => parse([entry])).toThrow('p: permissions.net.0: ');
  });
});

describe('what is refused', () => {
  it.each([
    ['https://joe:pass/word@a.com', 'https://…@a.com'],
    ['https://joe:pass@word@a.com/x', 'https://…@a.com/x'],
    ['https:joe:password@a.com', '…@a.com'],
    ['https:\\\\joe:password@a.com', '…@a.com'],
    [' https://joe:pass\nword@a.com', '…@a.com'],
    ['ftp://joe:password@a.com', '…@a.com'],
    ['joe:password@a.com', '…@a.com'],
  ])('%j is told without the name and the password', (text, told) => {
    for (const work of [() => parse([text]), () => parse([], { narrow: [text] })])
      expect(work).toThrow(
        expect.objectContaining({ message: expect.stringContaining(`got ${JSON.stringify(told)}`) }),
      );
    expect(() => parse([text])).not.toThrow(/joe|pass|word/);
  });

  it.each(['ftp://joe:password@a.com', 'https://joe:pass/word@a.com', 'joe:pass@word@a.com'])(
    'nor does %j from the configuration show them',
    (host) => {
      expect(() => parse(['config:host'], { config: { host } })).toThrow(/got ".*…@a.com"/);
      expect(() => parse(['config:host'], { config: { host } })).not.toThrow(/joe|pass|word/);
    },
  );
});

describe('config:<key>', () => {
  const config = { host: 'http://10.1.2.3:9000/base/path' };

  it('is the origin of the URL in the configuration, which may be private', () => {
    expect(parse(['config:host'], { config })).toEqual([
      { protocols: ['http:'], host: '10.1.2.3', port: '9000', reach: { address: '10.1.2.3', private: true } },
    ]);
    expect(allows(['config:host'], 'http://10.1.2.3:9000/other', { config })).toBe(true);
    expect(allows(['config:host'], 'http://10.1.2.3/', { config })).toBe(false);
  });

  it('grants nothing while the key is not set', () => {
    for (const value of [undefined, null, '']) expect(parse(['config:host'], { config: { host: value } })).toEqual([]);
    expect(parse(['config:constructor'])).toEqual([]);
  });

  it('is the author’s word while it is the manifest’s default', () => {
    const [grant] = parse(['config:host'], {
      config: { host: 'http://db.internal' },
      defaults: { host: 'http://db.internal' },
    });
    expect(grant?.reach).toEqual({});
  });

  it.each(['10.1.2.3:9000', 'ftp://x', 7])('refuses %j', (host) => {
    expect(() => parse(['config:host'], { config: { host } })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: `plugins.config.p.host: expected an http(s) URL, got "${host}".`,
      }),
    );
  });
});

describe('narrow', () => {
  it.each([
    [['*'], ['https://a.com'], 'https://a.com/', true],
    [['*'], ['https://a.com'], 'https://b.com/', false],
    [['https://*.a.com'], ['https://x.a.com'], 'https://x.a.com/', true],
    [['https://*.a.com'], ['https://x.a.com'], 'https://y.a.com/', false],
    [['https://x.a.com'], ['https://*.a.com'], 'https://x.a.com/', true],
    [['https://a.com', 'https://b.com'], ['https://b.com', 'https://c.com'], 'https://b.com/', true],
    [['https://a.com', 'https://b.com'], ['https://b.com', 'https://c.com'], 'https://c.com/', false],
    [['https://a.com'], ['http://a.com'], 'http://a.com/', false],
    [['https://a.com'], [], 'https://a.com/', false],
  ])('%j narrowed to %j: %s %s', (entries, narrow, url, expected) => {
    expect(allows(entries, url, { narrow })).toBe(expected);
  });

  it('never adds reach', () => {
    expect(parse(['*'], { narrow: ['http://10.0.0.1', 'http://localhost'] }).map(({ reach }) => reach)).toEqual([
      {},
      {},
    ]);
  });

  it('names the key when malformed', () => {
    expect(() => parse(['*'], { narrow: ['a.com'] })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(/^net\.narrow\.p\.0: expected/),
      }),
    );
  });
});
