import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SseParser } from './sse.js';

const lineEnd = fc.constantFrom('\n', '\r\n', '\r');
const event = fc.oneof(
  fc.json().map((data) => ({ data, text: (end: string) => `data: ${data}${end}${end}` })),
  fc.json().map((data) => ({
    data,
    text: (end: string) => `: comment${end}event: message${end}data:${data}${end}id: 1${end}${end}`,
  })),
);

/** Cuts a text at any places. */
function cut(text: string, places: number[]): string[] {
  const at = [...new Set(places.map((place) => place % (text.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((start, index) => text.slice(start, at[index] ?? text.length));
}

describe('SSE', () => {
  it('reads the same events, wherever the stream is cut and however lines end', () => {
    fc.assert(
      fc.property(fc.array(event), lineEnd, fc.array(fc.nat(5000)), (events, end, places) => {
        const parser = new SseParser();
        const text = events.map((one) => one.text(end)).join('');
        const read = cut(text, places).flatMap((piece) => parser.push(piece));
        // A lone CR at the very end may be the first half of CRLF, so nothing is lost by waiting for more.
        expect(read).toEqual(events.map(({ data }) => data));
        expect(parser.stray).toBeUndefined();
      }),
    );
  });

  it('joins data lines, and drops what is unfinished', () => {
    const parser = new SseParser();
    expect(parser.push('data: a\ndata: b\n\ndata: c')).toEqual(['a\nb']);
    expect(parser.unfinished).toBe('data: c');
  });

  it('notices what is no event', () => {
    const parser = new SseParser();
    parser.push('<html>\n<body>\n\n');
    expect(parser.stray).toBe('<html>');
  });
});
