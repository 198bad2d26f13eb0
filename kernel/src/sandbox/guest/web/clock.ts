let origin = 0;
let latest = 0;

/** Milliseconds since the isolate started, never going back. Finer clocks help attackers more than plugins. */
export function now(): number {
  latest = Math.max(latest, Date.now() - origin);
  return latest;
}

export const timeOrigin = (): number => origin;

/** Called when the isolate is running: what a snapshot remembers is the time of its making. */
export function startClock(): void {
  origin = Date.now();
  latest = 0;
}
