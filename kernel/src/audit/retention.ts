import type { AuditTrail } from './trail.js';

const DAY_MS = 86_400_000;
const EVERY_MS = 3_600_000;

/** Forgets entries that are older than they have to be, in small steps. Returns what ends it. */
export function keepFor(trail: AuditTrail, days: number, onProblem: (error: unknown) => void): () => void {
  let ended = false;
  const run = async () => {
    const before = new Date(Date.now() - days * DAY_MS);
    while (!ended && (await trail.forget(before)) > 0);
  };
  const look = () => void run().catch(onProblem);
  look();
  const timer = setInterval(look, EVERY_MS);
  timer.unref();
  return () => {
    ended = true;
    clearInterval(timer);
  };
}
