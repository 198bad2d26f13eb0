/** Steps that one check may take. A megabyte of JSON holds at most half a million values, so honest schemas are far below it. */
const MAX_STEPS = 5_000_000;

let left = MAX_STEPS;

/** Thrown inside of a check that has used up its steps. */
export class TooMuchWork extends RangeError {}

/** Checks are synchronous and do not nest, so one counter serves all. */
export function startBudget(): void {
  left = MAX_STEPS;
}

/** A refinement that always holds and counts what the schema beside it costs. */
export function stepOf(cost: number): { check: () => boolean; error: () => string } {
  const check = () => {
    spend(cost);
    return true;
  };
  return { check, error: () => '' };
}

export function spend(steps: number): void {
  left -= steps;
  if (left < 0) throw new TooMuchWork('The check takes too long.');
}
