import type { CallReport } from './compare.js';

export interface RehearsalSummary {
  /** That were replayed. */
  calls: number;
  same: number;
  different: number;
  failed: number;
  /** Of these calls, those of which the running version did not do the same again either: state in memory, for example. */
  unsteady: number;
  /** For which no time was left. */
  skipped: number;
}

export interface RehearsalReport {
  id: string;
  from: string;
  to: string;
  summary: RehearsalSummary;
  /** Those that are not the same, the first of them. */
  calls: CallReport[];
}

export const MAX_REPORTED = 50;

/** How many calls the candidate does otherwise. */
export const differing = ({ different, failed }: RehearsalSummary): number => different + failed;
