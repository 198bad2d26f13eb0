import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { basicURLParse } from 'whatwg-url/lib/url-state-machine.js';
import { parsePlainUrl } from './plain-url.js';

/** What makes the difference between plain and not, and anything. */
const part = fc.oneof(
  fc.constantFrom(
    ...['http', 'https', 'ftp', ':', '//', '/', '?', '#', '.', '..', '%2e', '%2E', '%', '@', '\\', "'", '"', ' ', '\t'],
    ...[
      'a',
      'B',
      'ü',
      'xn--',
      '-',
      '_',
      '0',
      '01',
      '127',
      '255',
      '256',
      '0x7f',
      '80',
      '443',
      '65535',
      '65536',
      '[::1]',
    ],
    ...[
      'example.com',
      'localhost',
      '127.0.0.1',
      '1.2.3',
      '1.2.3.4.',
      'a.1',
      'a.0x1',
      '|',
      '^',
      '`',
      '{',
      '}',
      '~',
      '+',
    ],
  ),
  fc.string({ maxLength: 3 }),
);
const anyUrl = fc
  .tuple(fc.constantFrom('http://', 'https://', ''), fc.array(part, { maxLength: 8 }))
  .map(([scheme, parts]) => scheme + parts.join(''));
const likelyUrl = fc
  .tuple(
    fc.constantFrom('http://', 'https://'),
    fc.constantFrom('localhost', 'api.example.com', '127.0.0.1', '10.0.0.255', 'a-b.c_d', '1.2.3.04', '300.1.1.1'),
    fc.constantFrom('', ':80', ':443', ':0080', ':11434', ':65536', ':'),
    fc.array(fc.constantFrom('/', 'v1', 'a.b', '.', '..', '%20', '%2e%2e', "it's", 'a:b', 'x=y', '~'), {
      maxLength: 6,
    }),
    fc.constantFrom('', '?', '?a=b', '?a=b&c=%20', '?q=1/2?3', "?q='", '?q={x}', '#', '#top'),
  )
  .map(([scheme, host, port, path, query]) => `${scheme}${host}${port}/${path.join('')}${query}`);

describe('parsePlainUrl', () => {
  it('gives what the standard gives, or nothing', () => {
    fc.assert(
      fc.property(fc.oneof(anyUrl, likelyUrl), (url) => {
        const plain = parsePlainUrl(url);
        if (plain) expect(plain).toEqual(basicURLParse(url));
      }),
      { numRuns: 20_000 },
    );
  });

  it.each([
    'http://127.0.0.1:11434/api/chat',
    'https://api.example.com/v1/chat/completions?a=b',
    'http://localhost',
    'https://example.com:443/~user/it@home;x=1',
  ])('knows %s', (url) => {
    expect(parsePlainUrl(url)).toEqual(basicURLParse(url));
  });

  it.each([
    'http://EXAMPLE.com/',
    'http://xn--bcher-kva.example/',
    'http://1.2.3/',
    'http://user@host/',
    'http://host/a/../b',
    'http://host/#top',
    'file:///etc/passwd',
    ' http://host/',
    'http://host/\n',
  ])('leaves %s to the standard’s parser', (url) => {
    expect(parsePlainUrl(url)).toBeUndefined();
  });
});
