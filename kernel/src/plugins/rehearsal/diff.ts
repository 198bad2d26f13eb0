/** One place where two JSON values differ. A side that lacks it is absent. */
export interface Difference {
  /** JSON pointer. */
  pointer: string;
  before?: unknown;
  after?: unknown;
}

const MAX_DIFFERENCES = 50;

/** What differs, place by place. */
export function diffJson(before: unknown, after: unknown): Difference[] {
  const found: Difference[] = [];
  compare('', before, after);
  return found;

  function compare(pointer: string, a: unknown, b: unknown): void {
    if (found.length >= MAX_DIFFERENCES || Object.is(a, b)) return;
    if (!isContainer(a) || !isContainer(b) || Array.isArray(a) !== Array.isArray(b)) {
      found.push({ pointer, ...(a !== undefined && { before: a }), ...(b !== undefined && { after: b }) });
      return;
    }
    const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
    for (const key of new Set([...Object.keys(left), ...Object.keys(right)]))
      compare(`${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, left[key], right[key]);
  }
}

export const isSame = (a: unknown, b: unknown): boolean => diffJson(a, b).length === 0;

const isContainer = (value: unknown): boolean => typeof value === 'object' && value !== null;
