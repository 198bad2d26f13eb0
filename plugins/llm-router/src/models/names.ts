/** Plugins are called `provider-ollama`; their models `ollama/…`. */
export const shortName = (plugin: string): string => plugin.replace(/^provider-/, '');

/** The names most like the wanted one, best first; none when nothing is near. */
export function nearest(wanted: string, names: readonly string[], most = 3): string[] {
  const target = wanted.toLowerCase();
  return names
    .map((name) => ({ name, distance: distanceOf(target, name.toLowerCase()) }))
    .filter(({ distance }) => distance <= Math.max(2, target.length * 0.4))
    .sort((a, b) => a.distance - b.distance || a.name.localeCompare(b.name))
    .slice(0, most)
    .map(({ name }) => name);
}

/** Names are compared with and without provider and tag, and a name that merely goes on counts as near. */
function distanceOf(target: string, name: string): number {
  const [wanted, found] = [bare(target), bare(name)];
  if (wanted.length > 2 && found.startsWith(wanted)) return 1;
  return Math.min(
    levenshtein(target, name),
    levenshtein(wanted, found) + 1,
    levenshtein(untagged(wanted), untagged(found)) + 1,
  );
}

const bare = (name: string) => name.slice(name.indexOf('/') + 1);
const untagged = (name: string) => name.replace(/:[^:]*$/, '');

function levenshtein(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
