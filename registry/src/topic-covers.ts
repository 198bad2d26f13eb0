/**
 * Whether a granted topic pattern includes another pattern. `*` is one segment, `**` any rest, and a trailing `*` in a
 * grant everything below, as the kernel grants it.
 */
export function topicCovers(grant: string, topic: string): boolean {
  const [pattern, parts] = [grant.split('.'), topic.split('.')];
  for (const [at, segment] of pattern.entries()) {
    if (segment === '**') return true;
    if (at >= parts.length || parts[at] === '**') return false;
    if (segment === '*' && at === pattern.length - 1) return true;
    // Asked for, a trailing `*` is a grant in turn, which reaches further down than one segment.
    if (parts[at] === '*' && at === parts.length - 1) return false;
    if (segment !== '*' && segment !== parts[at]) return false;
  }
  return pattern.length === parts.length;
}
