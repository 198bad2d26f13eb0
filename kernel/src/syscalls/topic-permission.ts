/** Whether a topic or a topic pattern lies within one of the granted patterns. `*` is one segment, `**` any rest. */
export function topicGranted(topic: string, granted: readonly string[] | undefined): boolean {
  return (granted ?? []).some((pattern) => covers(pattern.split('.'), topic.split('.')));
}

/** Whether some event of the pattern is granted. */
export function topicsOverlap(topic: string, granted: readonly string[]): boolean {
  return granted.some((pattern) => topicGranted(topic, [pattern]) || topicGranted(pattern, [topic]));
}

function covers(pattern: string[], topic: string[]): boolean {
  for (let at = 0; at < pattern.length; at++) {
    if (pattern[at] === '**') return true;
    if (at >= topic.length || topic[at] === '**') return false;
    // A trailing `*` in a grant is meant for everything below, as in the manifest example `greeter.*`.
    if (pattern[at] === '*' && at === pattern.length - 1) return true;
    if (pattern[at] !== '*' && pattern[at] !== topic[at]) return false;
  }
  return pattern.length === topic.length;
}
