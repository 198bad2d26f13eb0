import type { Principal } from '@atoll/plugin-sdk/contract';
import { MASK } from '../config/index.js';

/** Who did it, and from where. */
export interface Origin {
  /** Absent: nobody who could be identified. */
  principal?: Principal;
  address: string;
  /** W3C trace context of the request. */
  traceparent?: string;
}

/** What was done, or tried. */
export interface Deed {
  /** Such as `users.update`; for routes without a name of their own, method and path. */
  action: string;
  /** What it was done to, such as `user:…`. */
  target?: string;
  before?: unknown;
  after?: unknown;
}

export type Outcome = 'done' | 'denied';

/** One entry as it is kept and shown. */
export interface AuditEntry {
  seq: number;
  /** ISO 8601, in ms. */
  at: string;
  organisation: string;
  actor: { kind: string; id: string; user?: string };
  action: string;
  target?: string;
  outcome: Outcome;
  /** Error code of what was denied. */
  code?: string;
  /** How often within a few seconds; once when absent. */
  count?: number;
  address: string;
  traceId?: string;
  before?: unknown;
  after?: unknown;
}

const SECRET = /pass(word|phrase)|secret|token|credential|private|authorization|^key$|api.?key|hash$/i;
const MAX_DEPTH = 8;
const MAX_ITEMS = 200;
const MAX_TEXT = 2_000;

/** A copy for the record: what may be secret is masked, and what is too large is cut. */
export function recordable(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}…` : value;
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return '…';
  if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map((item) => recordable(item, depth + 1));
  if (value instanceof Date) return value.toISOString();
  const members = Object.entries(value).slice(0, MAX_ITEMS);
  return Object.fromEntries(
    members.map(([name, item]) => [name, SECRET.test(name) && item !== null ? MASK : recordable(item, depth + 1)]),
  );
}
