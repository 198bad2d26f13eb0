/** Version of the frame protocol; kernel and cell must agree on it. */
export const PROTOCOL_VERSION = 1;

/**
 * Frame types of the one protocol between kernel, cell and guest. Either side may call; an answer carries the call's id.
 * A stream belongs to a call: what the caller sends is the request stream, what the callee sends the response stream.
 */
export const FrameType = {
  CALL: 1,
  RESULT: 2,
  ERROR: 3,
  /** A result whose body follows as CHUNKs up to END. */
  OPEN: 4,
  CHUNK: 5,
  /** Lets the other side send `meta.n` more bytes of a stream. */
  CREDIT: 6,
  /** End of a stream; `meta.e` holds an error when it broke. */
  END: 7,
  CANCEL: 8,
  /** One way, no answer: log lines, metrics. */
  EVENT: 9,
  // Between a guest and its own cell only; never on the wire.
  TIMER_SET: 20,
  TIMER_CLEAR: 21,
  TIMER_FIRE: 22,
  LOCAL_CALL: 23,
  LOCAL_RESULT: 24,
  /** The system clock was set: `meta` is by how many ms. */
  CLOCK_STEP: 25,
} as const;

export type FrameTypeValue = (typeof FrameType)[keyof typeof FrameType];

/** What a frame's body is: nothing, UTF-8 text, or bytes. Text reaches a guest as a string, bytes as an ArrayBuffer. */
export const BodyKind = { NONE: 0, TEXT: 1, BYTES: 2 } as const;
export type BodyKindValue = (typeof BodyKind)[keyof typeof BodyKind];

/** Bytes that a sender may be ahead of its receiver on one stream. */
export const STREAM_WINDOW = 262_144;

/** Largest single body; what is larger has to be streamed. */
export const MAX_BODY_BYTES = 16_777_216;

/** Largest meta of a frame. */
export const MAX_META_BYTES = 4_194_304;
