let origin = 0;
/** What is taken off the system clock: when the isolate was started, and by how much it was set since. */
let base = 0;
let latest = 0;

/** Milliseconds since the isolate started, never going back. Finer clocks help attackers more than plugins. */
export function now(): number {
  latest = Math.max(latest, Date.now() - base);
  return latest;
}

export const timeOrigin = (): number => origin;

/** Called when the isolate is running: what a snapshot remembers is the time of its making. */
export function startClock(): void {
  origin = Date.now();
  base = origin;
  latest = 0;
}

/** The system clock was set by so many ms. What was told meanwhile is not taken back: time goes on from there. */
export function stepClock(ms: number): void {
  base = Math.min(base + ms, Date.now() - latest);
}
