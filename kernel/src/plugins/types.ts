import type { CancelSignal } from '../sandbox/host/guest-call.js';
import type { Channel, Permission } from '@atoll/registry';
import type { CanaryView } from './canary/canary-view.js';
import type { CloudEvent, Principal, RouteRegistration, WireError } from '@atoll/plugin-sdk';

export type PluginState =
  | 'installed'
  | 'pending'
  | 'starting'
  | 'active'
  | 'draining'
  | 'stopped'
  | 'failed'
  | 'quarantined';

/** One thing a plugin registered with the host: undone by the host when the plugin stops. */
export interface EffectInfo {
  kind: 'route' | 'listener' | 'service' | 'channel' | 'timer' | 'job' | 'schedule' | 'fetch' | 'metric';
  label: string;
  /** The permission for it was taken away. */
  suspended?: true;
}

export interface PluginLogLine {
  time: string;
  level: 'debug' | 'info' | 'warn' | 'error';
  message: string;
  fields?: Record<string, unknown>;
}

/** Resource use of the running instance: memory in bytes, CPU in ms since its start. */
export interface PluginResources {
  heapBytes: number;
  externalBytes: number;
  cpuMs: number;
  callsInFlight: number;
  calls: number;
  errors: number;
  cellPid?: number;
}

/** A version that would have been swapped in, but for the reason. */
export interface PendingUpgrade {
  version: string;
  /** Error code, such as CONSENT_NEEDED. */
  code: string;
  reason: string;
  /** Permissions beyond those that were agreed to. */
  asks: Permission[];
}

/** What a plugin follows, and what has come of it. */
export interface Following {
  follows?: Channel;
  pendingUpgrade?: PendingUpgrade;
}

/** A plugin as the API shows it. */
export interface PluginInfo extends Following {
  id: string;
  version: string;
  title: string;
  category: string;
  description?: string;
  state: PluginState;
  /** Why it is not active, in words. */
  reason?: string;
  desired: 'enabled' | 'disabled';
  origin: 'first-party' | 'third-party';
  mounts: readonly string[];
  permissions: Record<string, unknown>;
  /** What is left of them, when an operator has taken some away. */
  granted?: Record<string, unknown>;
  provides: Record<string, string>;
  consumes: Record<string, string>;
  dependencies: Record<string, string>;
  effects: EffectInfo[];
  resources?: PluginResources;
  /** Versions that were swapped out and still finish what they had begun. */
  retiring?: { version: string; callsInFlight: number }[];
  /** A version that is tried beside the running one, or how the latest one ended. */
  canary?: CanaryView;
  restarts: number;
  startedAt?: string;
  /** From the decision to start to active, in ms. */
  startMs?: number;
}

/** One HTTP call into a plugin, already matched, authorised and validated. */
export interface RouteCall {
  requestId: string;
  traceparent: string;
  principal: Principal;
  method: string;
  /** Path and query as the client sent them. */
  url: string;
  params: Record<string, unknown>;
  query: Record<string, unknown>;
  headers: Record<string, string>;
  /** Raw bytes; the guest parses them itself. */
  body?: Buffer;
  /** Aborts when the client goes away. */
  signal: CancelSignal;
}

export interface RouteReply {
  status: number;
  /** Those of a JSON answer when absent. */
  headers?: [name: string, value: string][];
  body?: Buffer;
  /** Set instead of `body` for streamed answers. Breaking off the iteration cancels the call in the plugin. */
  stream?: AsyncIterable<Buffer>;
}

/** A plugin's route as it goes into the route table. */
export interface PluginRoute {
  plugin: string;
  registration: RouteRegistration;
  /** Absolute path with `:name` parameters. */
  path: string;
  /** How errors under this plugin's mounts look; problem details when absent. */
  errorTemplate?: ErrorTemplate;
  /** Rejects with an AtollError. */
  call(call: RouteCall): Promise<RouteReply>;
  /** The version behind it; while it is paused, calls wait, and once it is no longer live, the path has to be looked up anew. */
  version?: { readonly live: boolean; readonly paused: boolean; resumed(): Promise<void> };
}

/**
 * The manifest's `errors`: an error body of the plugin's own for all errors under its mounts. In string values of `body`,
 * `{detail}`, `{code}`, `{title}`, `{status}`, `{type}` are filled in; `{type}` comes from `types`, by exact status, then
 * by class (`4xx`, `5xx`).
 */
export interface ErrorTemplate {
  body: unknown;
  types?: Record<string, string>;
}

/** One call of a plugin's WebSocket channel. */
export interface ChannelCall {
  channel: string;
  data: unknown;
  principal: Principal;
  traceparent: string;
  signal: AbortSignal;
}

export interface SwapOptions {
  discardState?: boolean;
}

/** What the HTTP and WebSocket layers need of the plugin manager. */
export interface PluginHost {
  list(): PluginInfo[];
  get(id: string): PluginInfo | undefined;
  enable(id: string): Promise<PluginInfo>;
  /** With `cascade`, plugins that need this one stop first; without it that is refused with PLUGIN_NEEDED. */
  disable(id: string, options?: { cascade?: boolean }): Promise<PluginInfo>;
  /** With `discardState`, state that the running version keeps in memory is given up instead of handed over. */
  reload(id: string, options?: SwapOptions): Promise<PluginInfo>;
  logs(id: string, options?: { limit?: number; level?: PluginLogLine['level'] }): PluginLogLine[];
  /** The effective configuration with secrets masked, and its schema. */
  config(id: string): { schema: Record<string, unknown>; values: Record<string, unknown> };
  /** Checks, stores, and restarts the plugin with the new values. */
  setConfig(id: string, values: Record<string, unknown>): Promise<PluginInfo>;
  /** Error template of the plugin whose mount covers the path, active or not; and that plugin. */
  mountOf(path: string): { plugin: string; errorTemplate?: ErrorTemplate } | undefined;
  /** Waits until a plugin that is just (re)starting is up or has failed, for a moment at most. */
  settled(id: string): Promise<void>;
  /** Resolves with a value, or an async iterable for a streamed answer. Rejects with an AtollError. */
  callChannel(call: ChannelCall): Promise<unknown | AsyncIterable<unknown>>;
}

export type { CloudEvent, WireError };
