import { describe, expect, it } from 'vitest';
import { createEvent } from '../events/envelope.js';
import { KnownIds } from './known-ids.js';
import { decode, encode } from './wire-event.js';

describe('an event on its way', () => {
  const event = createEvent('user.created', { id: 1 }, { traceparent: '00-1-2-01', organisation: 'guests' });

  it('arrives as it was, with who sent it, but not where it came from', () => {
    const message = encode('one', JSON.stringify(event));
    expect(decode(message, 'two')).toEqual({ ...event, node: 'one' });
    expect(decode(message, 'one')).toBeUndefined();
  });

  it('that an earlier process has left arrives at its own node, too', () => {
    expect(decode(encode('one', JSON.stringify(event), true), 'one')).toEqual({ ...event, node: 'one' });
  });

  it.each(['', 'no JSON', '[]', '{"node":"one"}', encode('one', '{}'), encode('', JSON.stringify(event))])(
    'is none: %j',
    (message) => expect(decode(message, 'two')).toBeUndefined(),
  );
});

it('known ids are the latest ones', () => {
  const known = new KnownIds(2);
  expect(['a', 'a', 'b', 'c', 'b', 'a'].map((id) => known.add(id))).toEqual([true, false, true, true, false, true]);
});
