import { describe, expect, it } from 'vitest';
import { parseGrants } from '../../net/index.js';
import { effective, narrowed, problemsOf } from './narrow.js';
import { entriesOf, nothing, type PermissionSet, toTexts } from './permission-set.js';
import { leastSet } from './proposal.js';
import { UseCounts } from './usage.js';

const set = (some: Partial<PermissionSet>): PermissionSet => ({ ...nothing(), ...some });
const parseNet = (entries: readonly string[]) =>
  parseGrants({ plugin: 'p', entries, config: { url: 'http://127.0.0.1:9000' } });

describe('a narrowed set', () => {
  it('names exactly what goes beyond what is asked for', () => {
    const asked = set({
      net: ['https://*.example.com', 'config:url'],
      storage: true,
      secrets: ['A'],
      events: { publish: ['a.*'], subscribe: [] },
    });
    const fine = set({ net: ['https://api.example.com'], events: { publish: ['a.b.c'], subscribe: [] } });
    expect(problemsOf(fine, asked)).toEqual([]);
    const wrong = set({
      net: ['https://api.example.com', 'https://example.org', 'http://127.0.0.1:9000'],
      jobs: true,
      secrets: ['A', 'B'],
      events: { publish: ['a.b', '**'], subscribe: ['a.b'] },
      services: ['llm'],
    });
    expect(problemsOf(wrong, asked).map(({ pointer }) => pointer)).toEqual([
      '/jobs',
      '/net/1',
      '/net/2',
      '/secrets/1',
      '/events/publish/1',
      '/events/subscribe/0',
      '/services/0',
    ]);
  });

  it('is never more than what a version asks for', () => {
    const asked = set({ net: ['*'], storage: true, events: { publish: ['a.**'], subscribe: ['x.y'] } });
    const left = set({ net: ['https://api.example.com'], events: { publish: ['a.b'], subscribe: [] } });
    const narrowing = narrowed(asked, left, undefined);
    expect(effective(asked, narrowing)).toEqual(left);
    // A later version that asks for less of it has less.
    expect(effective(set({ net: ['https://other.example.com'] }), narrowing)).toEqual(nothing());
    expect(effective(set({ net: ['https://*.example.com'] }), narrowing).net).toEqual(['https://api.example.com']);
  });

  it('holds what was consented to later, and not what was taken away before', () => {
    const first = set({ net: ['https://a.example.com'], storage: true });
    const narrowing = narrowed(first, set({ storage: true }), undefined);
    const second = set({ net: ['https://a.example.com', 'https://b.example.com'], storage: true });
    expect(effective(second, narrowing)).toEqual(set({ net: ['https://b.example.com'], storage: true }));
    const again = narrowed(second, set({ net: ['https://b.example.com'] }), narrowing);
    // After a rollback, what was taken away in the first place is still away.
    expect(effective(first, again)).toEqual(nothing());
  });
});

describe('the proposal', () => {
  it('is what was used, as narrow as it was used', () => {
    const asked = set({
      net: ['*', 'config:url'],
      storage: true,
      cache: true,
      events: { publish: ['a.**'], subscribe: ['**'] },
    });
    const used = new UseCounts();
    used.add('net', 'https://api.example.com');
    used.add('net', 'https://api.example.com');
    used.add('net', 'http://127.0.0.1:9000');
    used.add('storage');
    used.add('events.publish', 'a.b');
    used.add('events.subscribe', 'user.*');
    used.add('jobs');
    const least = leastSet(asked, used.list(), parseNet);
    expect(least).toEqual(
      set({
        net: ['config:url', 'https://api.example.com'],
        storage: true,
        events: { publish: ['a.b'], subscribe: ['user.*'] },
      }),
    );
    expect(problemsOf(least, asked)).toEqual([]);
    expect(used.of({ kind: 'net', value: 'https://api.example.com' })).toMatchObject({ count: 2 });
  });
});

it('counts without end, and keeps only so much', () => {
  const counts = new UseCounts();
  for (let n = 0; n < 2_000; n++) counts.add('events.publish', `a.${n}`);
  expect(counts.add('net', 'https://late.example.com')).toBe(false);
  expect(counts.add('events.publish', 'a.1')).toBe(true);
  expect(counts.list()).toHaveLength(500);
  expect([counts.total, counts.others]).toEqual([2_002, 1_501]);
});

it('is told to people as one line for each entry', () => {
  const some = set({ storage: true, secrets: ['KEY'], events: { publish: ['a.b'], subscribe: [] } });
  expect(toTexts(some)).toEqual(['storage', 'secrets KEY', 'events.publish a.b']);
  expect(entriesOf(some)).toHaveLength(3);
});
