export const PRIORITIES = ['LOW', 'NORMAL', 'HIGH', 'URGENT', 'CRITICAL'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** Keeps the number small enough for 32 bits for decades. */
const EPOCH_SECONDS = 1_767_225_600;

/**
 * The queue's priority number: a level is worth as much as having waited for `agingSeconds`. It never has to be changed while the job
 * waits, for all that wait grow older alike; so none starves.
 */
export function priorityNumber(priority: Priority, agingSeconds: number, dueMs: number): number {
  const due = Math.floor(dueMs / 1000) - EPOCH_SECONDS;
  return Math.max(-2_147_483_648, PRIORITIES.indexOf(priority) * agingSeconds - due);
}
