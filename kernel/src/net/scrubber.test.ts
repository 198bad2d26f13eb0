import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Scrubber } from './scrubber.js';

const SECRET = 'sk-very-secret';
const mask = '*'.repeat(SECRET.length);

function run(secrets: string[], chunks: string[]): string[] {
  const scrubber = new Scrubber(secrets);
  return [...chunks.map((chunk) => scrubber.push(Buffer.from(chunk))), scrubber.flush()].map(String);
}

describe('the scrubber', () => {
  it('blackens a secret, also across chunks, and holds back no more than it must', () => {
    expect(run([SECRET], [`a ${SECRET} b`])).toEqual([`a ${mask} b`, '']);
    expect(run([SECRET], ['data: sk-very', '-secret!', 'sk'])).toEqual(['data: ', `${mask}!`, '', 'sk']);
    expect(run([SECRET], ['nothing here', 'skx'])).toEqual(['nothing here', 'skx', '']);
  });

  it('finds the JSON form, and several secrets', () => {
    const odd = 'quoted"secret\\';
    expect(run([odd], [JSON.stringify({ echo: odd })]).join('')).not.toContain('secret');
    expect(run([SECRET, `${SECRET}-longer`], [`${SECRET}-longer ${SECRET}`]).join('')).toMatch(/^\*+ \*+$/);
  });

  it('finds it in base64 wherever it begins, in URLs, and in JSON within JSON', () => {
    const odd = 'sk-"very"/secret+key~%\\';
    for (const before of ['', 'a', 'ab', 'abc', 'Bearer ']) {
      for (const encoding of ['base64', 'base64url'] as const) {
        const text = Buffer.from(`${before}${odd}${before}`).toString(encoding);
        const seen = run([odd], [text]).join('');
        expect(seen).toHaveLength(text.length);
        expect(Buffer.from(seen.replaceAll('*', 'A'), encoding).toString()).not.toMatch(/very|secret|key/);
      }
    }
    const texts = [encodeURIComponent(odd), JSON.stringify(odd), JSON.stringify(JSON.stringify({ odd }))];
    for (const text of texts) expect(run([odd], [text]).join('')).not.toMatch(/very|secret|key/);
  });

  it('leaves words alone that are too short to be secret', () => {
    expect(run(['the'], ['the end']).join('')).toBe('the end');
  });

  it('gives the same for every way of cutting the text', () => {
    const piece = fc.constantFrom('s', 'sk-', 'sk-very-', 'secret', SECRET, ' ', 'x');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), fc.array(fc.nat(8), { minLength: 1 }), (pieces, sizes) => {
        const text = pieces.join('');
        const chunks: string[] = [];
        for (let at = 0, turn = 0; at < text.length; turn++) {
          const size = sizes[turn % sizes.length]! + 1;
          chunks.push(text.slice(at, at + size));
          at += size;
        }
        expect(run([SECRET], chunks).join('')).toBe(text.replaceAll(SECRET, mask));
      }),
    );
  });
});
