import { describe, expect, it } from 'vitest';
import { STREAM_WINDOW } from '../protocol/frame-type.js';
import { HostStream } from './host-stream.js';

function stream() {
  const granted: number[] = [];
  const made = new HostStream({ credit: (bytes) => granted.push(bytes), waiting: () => {}, done: () => {} });
  return { made, granted };
}

describe('a stream from a guest', () => {
  it('does not queue empty chunks, of which there could be any number', async () => {
    const { made } = stream();
    for (let at = 0; at < 10_000; at++) expect(made.push(Buffer.alloc(0))).toBe(true);
    made.push(Buffer.from('x'));
    made.end();
    expect(await made.next()).toEqual({ done: false, value: Buffer.from('x') });
    expect(await made.next()).toEqual({ done: true, value: undefined });
  });

  it('tells a guest that sends far more than it was granted', () => {
    const { made } = stream();
    const chunk = Buffer.alloc(STREAM_WINDOW);
    expect(Array.from({ length: 5 }, () => made.push(chunk))).toEqual([true, true, true, true, true]);
    expect(made.push(chunk)).toBe(false);
  });

  it('grants more as its reader takes it', async () => {
    const { made, granted } = stream();
    made.push(Buffer.alloc(STREAM_WINDOW));
    expect(granted).toEqual([]);
    await made.next();
    expect(granted).toEqual([STREAM_WINDOW]);
  });
});
