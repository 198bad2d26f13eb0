import type { Principal } from '@atoll/plugin-sdk';

/*
 * The `meta` of frames, by method. Names are short because they are written and read for every call.
 * What a guest sends is checked by the syscall table; what the kernel sends is trusted by the guest.
 */

/** Of every CALL from the kernel into a guest. */
export interface KernelCallMeta {
  /** Method: setup, health, http, channel, event, service, job, give, receive or stop. */
  m: string;
  /** Time left, in ms. */
  d: number;
  /** W3C traceparent. */
  t: string;
  /** Principal. */
  p?: Principal;
  /** A request stream follows. */
  s?: 1;
}

export interface HttpCallMeta extends KernelCallMeta {
  /** Index of the route in the order of registration. */
  i: number;
  /** HTTP method. */
  v: string;
  /** Path and query as the client sent them. */
  u: string;
  a: Record<string, unknown>;
  q: Record<string, unknown>;
  h: Record<string, string>;
}

/** Head of an HTTP answer; without one it is 200 and JSON. */
export interface HttpReplyMeta {
  /** Status. */
  s: number;
  h: [string, string][];
}

export interface IndexedCallMeta extends KernelCallMeta {
  /** Index of the listener, channel or service in the order of registration. */
  i: number;
}

export interface JobCallMeta extends IndexedCallMeta {
  /** Id of the job. */
  j: string;
  /** Which start of it this is, from 1. */
  n: number;
}

export interface ServiceCallMeta extends IndexedCallMeta {
  /** Method of the service. */
  n: string;
  /** Plugin id of the caller. */
  f: string;
}

export interface SetupMeta extends KernelCallMeta {
  plugin: { id: string; version: string };
  config: Record<string, unknown>;
}

/** What a plugin can do about its state when it is swapped; null when nothing. */
export interface SetupReplyMeta {
  handoff: { version: number; gives: boolean; receives: boolean } | null;
}

/** The state itself is the JSON body. */
export interface ReceiveMeta extends KernelCallMeta {
  /** Version of the state's shape. */
  version: number;
}

/** Of every CALL from a guest: a syscall. Its input is the JSON body, except where a method says otherwise. */
export interface SyscallMeta {
  m: string;
  /** Id of the call into the guest that this one is made for: it inherits its deadline, trace and principal. */
  c?: number;
  /** Instead of `c` when that call has ended: the organisation in whose name it was made. */
  o?: string;
  /** Wanted time in ms; never more than what is left. */
  d?: number;
  /** A request stream follows. */
  s?: 1;
  /** The input, for calls whose body is something else. */
  a?: unknown;
}

/** Of END when a stream broke, and the whole meta of ERROR. */
export interface ErrorMeta {
  code: string;
  message: string;
  extras?: Record<string, unknown>;
  /** Guest stack, for the log only; untrusted. */
  stack?: string;
}
