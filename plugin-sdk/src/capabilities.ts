import type { Static, TSchema } from 'typebox';
import type { CloudEvent } from './contract/cloud-event.js';
import type { Principal } from './contract/principal.js';

export interface Events {
  /** Listens to topics; `*` stands for one segment, `**` for the rest. Needs `permissions.events.subscribe`. */
  on<T = unknown>(topic: string, listener: (event: CloudEvent<T>) => unknown): void;
  /** Publishes; resolves when the event is accepted. Needs `permissions.events.publish`. */
  emit(topic: string, data?: unknown): Promise<void>;
}

/** Structured logging; lines go to the host's log and to `GET /api/v1/plugins/{id}/logs`. */
export interface Log {
  debug(fields: object | string, message?: string): void;
  info(fields: object | string, message?: string): void;
  warn(fields: object | string, message?: string): void;
  error(fields: object | string, message?: string): void;
}

export interface ChannelCall<T> {
  readonly data: T;
  readonly principal: Principal;
  readonly signal: AbortSignal;
}

/** Channels that clients reach over the one WebSocket at `/ws` by `{ type: 'call', channel: '<plugin id>.<name>' }`. */
export interface Ws {
  channel(name: string, handler: (call: ChannelCall<unknown>) => unknown, options?: ChannelOptions): void;
  channel<S extends TSchema>(
    name: string,
    input: S,
    handler: (call: ChannelCall<Static<S>>) => unknown,
    options?: ChannelOptions,
  ): void;
}

export interface ChannelOptions {
  /** What the caller needs beside `plugins.call`: a name out of the manifest's `access`. */
  permission?: string;
}

/** Counters, gauges and histograms; they appear at `/metrics` as `atoll_plugin_<name>{plugin="<id>"}`. */
export interface Metrics {
  increment(name: string, by?: number): void;
  gauge(name: string, value: number): void;
  observe(name: string, value: number): void;
}

/**
 * Secrets never enter the plugin. `ref(name)` is a placeholder that the kernel replaces in outgoing `fetch` headers, only for
 * the hosts that secret is bound to.
 */
export interface Secrets {
  /** Placeholder text for a header value, for example `Bearer ${secrets.ref('EXAMPLE_KEY')}`. */
  ref(name: string): string;
  /** Whether the operator has set the secret. */
  has(name: string): Promise<boolean>;
}

export interface Lifecycle {
  /** Asked before traffic is routed to this instance; throw (or return false) to say "not healthy". */
  onHealth(check: () => unknown): void;
  /** Called before the instance is disposed, with at most a second to finish. */
  onStop(callback: () => unknown): void;
  /** What is in memory outlives a swap: the version that leaves gives it, the one that comes receives it. Once per plugin. */
  onHandoff<State>(handoff: Handoff<State>): void;
}

/**
 * State handed from one running version to the next, as JSON of at most 4 MiB. New calls wait meanwhile. Whatever throws here leaves
 * the running version where it is.
 */
export interface Handoff<State> {
  /** Version of the state's shape; raise it when the shape changes. */
  version: number;
  /** Asked of the version that leaves; what calls that last longer than a moment change afterwards is lost. */
  give?: () => State | Promise<State>;
  /** Told to the version that comes, before its first call. `version` is that of the giver: migrate older shapes, throw on unknown ones. */
  receive?: (given: { version: number; state: unknown }) => unknown;
}
