/** Plugins are called `provider-ollama`; their models `ollama/…`. */
export const shortName = (plugin: string): string => plugin.replace(/^provider-/, '');

/** Longer ones are no model's. */
export const LONGEST_NAME = 300;

/** Comparing two names takes the product of their lengths, and somebody waits for each of the other models. */
const LONGEST_COMPARED = 64;
const MOST_COMPARED = 1_000;

/** The names most like the wanted one, best first; none when nothing is near. */
export function nearest(wanted: string, names: readonly string[], most = 3): string[] {
  const target = wanted.toLowerCase();
  if (target.length > LONGEST_COMPARED) return [];
  const far = Math.max(2, target.length * 0.4);
  return names
    .filter(({ length }) => length <= LONGEST_COMPARED)
    .slice(0, MOST_COMPARED)
    .map((name) => ({ name, distance: distanceOf(target, name.toLowerCase(), far) }))
    .filter(({ distance }) => distance <= far)
    .sort((a, b) => a.distance - b.distance || a.name.localeCompare(b.name))
    .slice(0, most)
    .map(({ name }) => name);
}

/** Names are compared with and without provider and tag, and a name that merely goes on counts as near. */
function distanceOf(target: string, name: string, far: number): number {
  const [wanted, found] = [bare(target), bare(name)];
  if (wanted.length > 2 && found.startsWith(wanted)) return 1;
  return Math.min(
    levenshtein(target, name, far),
    levenshtein(wanted, found, far) + 1,
    levenshtein(untagged(wanted), untagged(found), far) + 1,
  );
}

const bare = (name: string) => name.slice(name.indexOf('/') + 1);
const untagged = (name: string) => name.replace(/:[^:]*$/, '');

/** Infinity when it is certainly more than `far`: each sign that one has more than the other is a change. */
function levenshtein(a: string, b: string, far: number): number {
  if (Math.abs(a.length - b.length) > far) return Infinity;
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
