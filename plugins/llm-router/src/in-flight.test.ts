import { describe, expect, it } from 'vitest';
import { InFlight } from './in-flight.js';

const LARGE = 12_000_000;

describe('the requests in flight', () => {
  it('share a budget, and give their part back once', () => {
    const inFlight = new InFlight();
    const release = inFlight.takeBytes(LARGE);
    inFlight.takeBytes(LARGE);
    const refused = expect.objectContaining({ code: 'OVERLOADED', extras: { retryAfter: 1 } });
    expect(() => inFlight.takeBytes(LARGE)).toThrow(refused);
    release();
    release();
    inFlight.takeBytes(LARGE);
    expect(() => inFlight.takeBytes(LARGE)).toThrow(refused);
  });

  it('always have room for small ones', () => {
    const inFlight = new InFlight();
    inFlight.takeBytes(33_000_000);
    for (let count = 0; count < 1_000; count++) inFlight.takeBytes(10_000);
  });

  it('count values that are parsed already', () => {
    const inFlight = new InFlight();
    const input = { messages: [{ role: 'user', content: 'x'.repeat(LARGE) }] };
    inFlight.takeValue(input);
    inFlight.takeValue(input);
    expect(() => inFlight.takeValue(input)).toThrow();
  });
});
