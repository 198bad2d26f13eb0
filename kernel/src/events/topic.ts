const SEGMENT = /^[^.*\s]+$/;

/** Why a text is no topic pattern, in words; undefined when it is one. `*` is one segment, `**` the rest and therefore last. */
export function patternProblem(pattern: string): string | undefined {
  const parts = pattern.split('.');
  const wrong = parts.find(
    (part, at) => !SEGMENT.test(part) && part !== '*' && !(part === '**' && at === parts.length - 1),
  );
  if (wrong === undefined) return undefined;
  if (wrong === '') return 'it has an empty segment';
  return wrong === '**' ? '`**` can only be its last segment' : `"${wrong}" is no segment; \`*\` stands alone`;
}

export function isTopic(topic: string): boolean {
  return topic.split('.').every((part) => SEGMENT.test(part));
}

/** A test for topics that fit a pattern, prepared once: `*` is exactly one segment, `**` the rest (also none). */
export function topicMatcher(pattern: string): (topic: string) => boolean {
  if (!pattern.includes('*')) return (topic) => topic === pattern;
  const parts = pattern.split('.');
  const open = parts.at(-1) === '**';
  const fixed = open ? parts.slice(0, -1) : parts;
  return (topic) => {
    const segments = topic.split('.');
    if (open ? segments.length < fixed.length : segments.length !== fixed.length) return false;
    return fixed.every((part, at) => part === '*' || part === segments[at]);
  };
}
