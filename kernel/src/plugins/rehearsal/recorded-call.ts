import type { Principal, WireError } from '@atoll/plugin-sdk/contract';

/** A body as it is kept: parsed where it is JSON, and of bytes only what tells whether they are the same. */
export type Payload = { json: unknown } | { text: string } | { opaque: string };

/** What a call is for, whatever the order in which a version registers. */
export type Target =
  | { kind: 'http'; method: string; path: string }
  | { kind: 'channel'; name: string }
  | { kind: 'service'; name: string; method: string }
  | { kind: 'setup' };

/** What a host capability answered. */
export interface HostAnswer {
  head?: unknown;
  body?: Payload;
  stream?: string[];
  /** Body or stream came as bytes and not as text. */
  bytes?: true;
  /** Of a refusal; after `stream`, what broke it. */
  error?: WireError;
}

export interface HostInput {
  head?: unknown;
  body?: Payload;
  /** Its body was a stream, of which nothing is kept. */
  streamed?: true;
}

export interface HostCall {
  method: string;
  input: HostInput;
  answer: HostAnswer;
}

export interface CallOutput {
  status?: number;
  headers?: [string, string][];
  body?: Payload;
  chunks?: string[];
  error?: { code: string; message: string };
}

/** One call into a plugin with everything that crossed the bridge for it. */
export interface RecordedCall {
  target: Target;
  /** Epoch ms when it was made, and how long it took. */
  at: number;
  ms: number;
  principal?: Principal;
  /** Members of the frame's meta: URL, parameters, query and headers of a request; method and caller of a service. */
  meta: Record<string, unknown>;
  body?: Payload;
  /** The body went in as bytes and not as text. */
  bytes?: true;
  output: CallOutput;
  hostCalls: HostCall[];
}

export function describeTarget(target: Target): string {
  switch (target.kind) {
    case 'http':
      return `${target.method} ${target.path}`;
    case 'channel':
      return `channel ${target.name}`;
    case 'service':
      return `service ${target.name}.${target.method}`;
    case 'setup':
      return 'setup';
  }
}
