/** `{3}`, `{3,}` or `{3,9}`, where the scan stands. */
const COUNTED = /\{(\d{1,4})(?:,(\d{0,4}))?\}/y;

/**
 * About how many instructions a pattern becomes: counted repetitions are written out. Found without compiling it, which is what takes
 * the time. Malformed patterns have some size, too.
 */
export function patternSize(pattern: string): number {
  /** What is around the group that is being read: its size so far. */
  const outer: number[] = [];
  let [size, atom] = [0, 0];
  const put = (next: number) => {
    size += atom;
    atom = next;
  };
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at]!;
    if (char === '\\') {
      put(1);
      at++;
    } else if (char === '[') {
      put(1);
      at = endOfClass(pattern, at);
    } else if (char === '(') {
      put(0);
      outer.push(size);
      size = 0;
    } else if (char === ')') {
      atom += size + 2;
      size = outer.pop() ?? 0;
    } else if (char === '{') {
      COUNTED.lastIndex = at;
      const [whole, least, most] = COUNTED.exec(pattern) ?? [];
      if (whole === undefined) put(1);
      else {
        atom *= Math.max(1, Number(least), Number(most ?? 0));
        at += whole.length - 1;
      }
    } else put(1);
  }
  return outer.reduce((sum, part) => sum + part, size + atom);
}

function endOfClass(pattern: string, start: number): number {
  // A bracket right at the beginning is a character of the class.
  let at = start + (pattern[start + 1] === '^' ? 2 : 1);
  if (pattern[at] === ']') at++;
  while (at < pattern.length && pattern[at] !== ']') at += pattern[at] === '\\' ? 2 : 1;
  return at;
}
