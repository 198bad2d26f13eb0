/** The middle of the values; the mean of the two middle ones when their number is even. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** Collects values under names, in the order in which the names first came up. */
export class Samples {
  readonly #values = new Map<string, number[]>();

  add(name: string, ...values: number[]): void {
    this.#values.set(name, [...(this.#values.get(name) ?? []), ...values]);
  }

  median(name: string): number {
    const values = this.#values.get(name);
    if (!values) throw new Error(`Nothing was measured for ${name}.`);
    return median(values);
  }
}

/** The list, turned by `by` places: every round begins with another one, so that no one always runs on the coolest machine. */
export function rotated<T>(list: readonly T[], by: number): T[] {
  const at = by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

/** The value below which this part of them lies. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
}
