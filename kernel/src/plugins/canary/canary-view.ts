import type { CallFigures } from './meter.js';
import type { CanarySpec } from './spec.js';

export type CanaryState = 'running' | 'promoted' | 'rolled-back' | 'aborted';

/** One of the two versions, since the canary began. */
export interface VersionFigures extends CallFigures {
  version: string;
  callsInFlight: number;
  heapBytes?: number;
  cpuMs?: number;
}

/** A canary as the API shows it, and as it is kept. */
export interface CanaryView {
  id: string;
  from: string;
  to: string;
  state: CanaryState;
  /** Why it ended. */
  reason?: string;
  startedAt: string;
  endedAt?: string;
  spec: CanarySpec;
  running: VersionFigures;
  candidate: VersionFigures;
}
