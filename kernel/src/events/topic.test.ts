import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isTopic, patternProblem, topicMatcher } from './topic.js';

const topicMatches = (pattern: string, topic: string) => topicMatcher(pattern)(topic);

/** The rules as directly as they can be written down. */
function reference(pattern: string[], topic: string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return topic.length === 0;
  if (first === '**') return true;
  if (topic.length === 0 || (first !== '*' && first !== topic[0])) return false;
  return reference(rest, topic.slice(1));
}

const segment = fc.constantFrom('a', 'b', 'cc', 'a-b');
const topic = fc.array(segment, { minLength: 1, maxLength: 5 });
const pattern = fc
  .tuple(fc.array(fc.oneof(segment, fc.constant('*')), { maxLength: 5 }), fc.boolean())
  .map(([parts, open]) => (open || parts.length === 0 ? [...parts, '**'] : parts));

describe('topicMatcher', () => {
  it.each([
    ['user.created', 'user.created', true],
    ['user.created', 'user.created.now', false],
    ['user.*', 'user.created', true],
    ['user.*', 'user', false],
    ['user.*', 'user.created.now', false],
    ['*.created', 'user.created', true],
    ['user.**', 'user', true],
    ['user.**', 'user.created.now', true],
    ['user.**', 'users.created', false],
    ['**', 'anything.at.all', true],
    ['a.*.**', 'a', false],
    ['a.*.**', 'a.b', true],
  ])('%s and %s: %s', (one, other, fits) => {
    expect(topicMatches(one, other)).toBe(fits);
  });

  it('is what the naive reference says', () => {
    fc.assert(
      fc.property(pattern, topic, (parts, segments) => {
        expect(topicMatches(parts.join('.'), segments.join('.'))).toBe(reference(parts, segments));
      }),
      { numRuns: 2_000 },
    );
  });

  it('fits every topic to itself, and to itself with any segment as a wildcard', () => {
    fc.assert(
      fc.property(topic, fc.nat(), (segments, at) => {
        const text = segments.join('.');
        expect(topicMatches(text, text)).toBe(true);
        expect(topicMatches(segments.with(at % segments.length, '*').join('.'), text)).toBe(true);
        expect(topicMatches([...segments.slice(0, at % segments.length), '**'].join('.'), text)).toBe(true);
      }),
    );
  });
});

describe('patternProblem', () => {
  it('has nothing against well-formed patterns', () => {
    fc.assert(fc.property(pattern, (parts) => patternProblem(parts.join('.')) === undefined));
  });

  it.each([
    ['', 'it has an empty segment'],
    ['a..b', 'it has an empty segment'],
    ['a.', 'it has an empty segment'],
    ['**.a', '`**` can only be its last segment'],
    ['a.b*', '"b*" is no segment; `*` stands alone'],
    ['a.***', '"***" is no segment; `*` stands alone'],
    ['a b', '"a b" is no segment; `*` stands alone'],
  ])('%j: %s', (text, problem) => {
    expect(patternProblem(text)).toBe(problem);
  });

  it('a topic has no wildcards', () => {
    expect(['a', 'a.b-c', 'a.*', '**', '', 'a.'].map(isTopic)).toEqual([true, true, false, false, false, false]);
  });
});
