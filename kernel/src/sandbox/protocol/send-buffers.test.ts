import { describe, expect, it } from 'vitest';
import { SendBuffers } from './send-buffers.js';

describe('buffers for what is sent', () => {
  it('are used again, and never twice at once', () => {
    const buffers = new SendBuffers();
    const first = buffers.take(10);
    const second = buffers.take(10);
    expect(second).not.toBe(first);
    buffers.give(first);
    expect(buffers.take(65_536)).toBe(first);
  });

  it('are as large as what is asked for', () => {
    const buffers = new SendBuffers();
    for (const size of [0, 1, 65_537, 1_048_576, 1_048_577, 20_000_000]) {
      const buffer = buffers.take(size);
      expect(buffer.length).toBeGreaterThanOrEqual(size);
      buffers.give(buffer);
    }
  });

  it('are kept in small number only, the large ones rather, the largest never', () => {
    const buffers = new SendBuffers();
    const taken = [100_000, 2_000_000, 10, 900_000].map((size) => buffers.take(size));
    for (const buffer of taken) buffers.give(buffer);
    expect([buffers.take(10), buffers.take(10)]).toEqual([taken[3], taken[0]]);
    expect(taken).not.toContain(buffers.take(10));
  });
});
