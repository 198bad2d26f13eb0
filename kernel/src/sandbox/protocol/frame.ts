import type { BodyKindValue } from './frame-type.js';

/** One frame as both ends of the socket see it. `meta` is JSON text ('' for none); `isolate` 0 is the cell itself. */
export interface Frame {
  type: number;
  isolate: number;
  id: number;
  kind: BodyKindValue;
  meta: string;
  /** Present when `kind` is not NONE. A string is sent as UTF-8. */
  body: Buffer | string | undefined;
}
