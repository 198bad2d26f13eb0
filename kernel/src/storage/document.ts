import { randomUUID } from 'node:crypto';
import { AtollError } from '@atoll/plugin-sdk/contract';

/** A document as it goes into the database. */
export interface NewDocument {
  id: string;
  json: string;
  /** In bytes, as JSON. */
  size: number;
}

export type Document = Record<string, unknown> & { id: string; version: number };

const ID = /^[^\p{C}\p{Zl}\p{Zp}]{1,200}$/u;
/** What JSON.stringify writes for U+0000 and for half a surrogate pair, neither of which PostgreSQL can hold. */
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/;

/** Throws VALIDATION_FAILED for what can't be the id of a document. */
export function checkId(id: unknown): string {
  if (typeof id === 'string' && ID.test(id)) return id;
  throw new AtollError('VALIDATION_FAILED', 'An id is a text of 1 to 200 characters without control characters.');
}

/** A document's content as JSON. Throws VALIDATION_FAILED, or BODY_TOO_LARGE. */
export function toJson(content: Record<string, unknown>, maxBytes: number): { json: string; size: number } {
  const json = stringify(content);
  if (UNSTORABLE.test(json))
    throw new AtollError('VALIDATION_FAILED', 'A text has U+0000 or half a surrogate pair, which cannot be stored.');
  const size = Buffer.byteLength(json);
  if (size > maxBytes) throw new AtollError('BODY_TOO_LARGE', `A document of ${size} bytes; ${maxBytes} are allowed.`);
  return { json, size };
}

function stringify(content: Record<string, unknown>): string {
  try {
    return JSON.stringify(content);
  } catch (error) {
    if (error instanceof RangeError) throw new AtollError('VALIDATION_FAILED', 'The document is nested too deeply.');
    throw error;
  }
}

/** The JSON text of a document, out of what its row holds. */
export function toText(row: { id: string; version: number; doc: string }): string {
  const head = `{"id":${JSON.stringify(row.id)},"version":${row.version}`;
  return row.doc === '{}' ? `${head}}` : `${head},${row.doc.slice(1)}`;
}

/** An id that sorts by when it was made (UUID version 7). */
let lastMs = 0;
let sequence = 0;
export function newId(): string {
  const now = Date.now();
  // Within a millisecond the sequence keeps the order, also when the clock goes back.
  sequence = now > lastMs ? 0 : sequence + 1;
  lastMs = Math.max(now, lastMs);
  if (sequence > 0xfff) {
    lastMs++;
    sequence = 0;
  }
  const time = lastMs.toString(16).padStart(12, '0');
  // The second half is as in version 4, of which Node keeps random bytes in stock.
  const random = randomUUID().slice(19);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${sequence.toString(16).padStart(3, '0')}-${random}`;
}
