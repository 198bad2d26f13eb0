import { AtollError, type ChannelRegistration, type RouteRegistration } from '@atoll/plugin-sdk/contract';
import type { PluginManifest } from '@atoll/registry';
import { assertOutsideTransaction } from '../database/index.js';
import type { PluginScope } from '../di/plugin-scope.js';
import type { EventBus } from '../events/index.js';
import type { Grant } from '../net/index.js';
import type { GuestReply, GuestRequest } from '../sandbox/host/guest-call.js';
import type { SupervisedIsolate } from '../sandbox/host/supervisor.js';
import { compileGuestSchema, type Validator } from '../schema/index.js';
import type { OwnedEffect } from '../syscalls/table.js';
import type { Logger } from '../telemetry/logger.js';
import { newTraceparent } from '../telemetry/trace.js';
import { routeCaller } from './route-caller.js';
import type { ErrorTemplate, PluginRoute } from './types.js';

export interface Channel {
  /** `<plugin id>.<name>`. */
  name: string;
  index: number;
  input?: Validator;
}

/** How long a listener may take for one event, in ms, whatever the plugin's own limit. */
const EVENT_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 1_000;

/**
 * One running version of a plugin: its isolate and everything it registered. What it registers is staged until the instance
 * becomes the active one, and withdrawn as a whole and at once when another takes over; what it holds ends later, when it has drained.
 */
export class PluginInstance {
  readonly routes: PluginRoute[] = [];
  readonly channels = new Map<string, Channel>();
  readonly effects = new Set<OwnedEffect>();
  readonly startedAt = new Date();
  isolate: SupervisedIsolate | undefined;
  #state: 'staging' | 'active' | 'released' = 'staging';

  constructor(
    readonly manifest: PluginManifest,
    /** What it may reach by `fetch`. */
    readonly grants: Grant[],
    /** What lives as long as this instance: its container, and what ends with it. */
    readonly scope: PluginScope,
    private readonly log: Logger,
  ) {}

  get id(): string {
    return this.manifest.id;
  }

  get active(): boolean {
    return this.#state === 'active';
  }

  /** Calls into the isolate. Rejects with an AtollError. */
  call(request: GuestRequest): Promise<GuestReply> {
    assertOutsideTransaction('A call into a plugin');
    if (!this.isolate) return Promise.reject(new AtollError('PLUGIN_NOT_ACTIVE', `${this.id} does not run.`));
    return this.isolate.client.call(request);
  }

  async setup(config: Record<string, unknown>, timeoutMs: number): Promise<void> {
    const { id, version } = this.manifest;
    await this.call({
      meta: { m: 'setup', plugin: { id, version }, config },
      timeoutMs,
      traceparent: newTraceparent(),
    });
    await this.call({ meta: { m: 'health' }, timeoutMs, traceparent: newTraceparent() });
  }

  registerRoute(index: number, registration: RouteRegistration): void {
    const path = absolutePath(this.manifest, registration.path);
    const errorTemplate = this.manifest.errors as ErrorTemplate | undefined;
    const route: PluginRoute = {
      plugin: this.id,
      registration,
      path,
      ...(errorTemplate && { errorTemplate }),
      call: routeCaller(this, index, registration),
    };
    if (this.routes.some((other) => other.path === path && other.registration.method === registration.method)) {
      throw new AtollError('PLUGIN_CLASH', `The route ${registration.method} ${path} is registered twice.`);
    }
    this.routes.push(route);
    this.addEffect({
      kind: 'route',
      label: `${registration.method} ${path}`,
      undo: () => this.routes.splice(this.routes.indexOf(route), 1),
    });
  }

  registerChannel(index: number, { name, input }: ChannelRegistration): void {
    const full = `${this.id}.${name}`;
    if (this.channels.has(full)) throw new AtollError('PLUGIN_CLASH', `The channel ${full} is registered twice.`);
    this.channels.set(full, { name: full, index, ...(input && { input: compileGuestSchema(input) }) });
    this.addEffect({ kind: 'channel', label: full, undo: () => this.channels.delete(full) });
  }

  registerListener(index: number, topic: string, events: EventBus): void {
    let unsubscribe: (() => void) | undefined;
    const deliver = async (event: object & { traceparent?: string }) => {
      const timeoutMs = Math.min(this.manifest.limits.timeoutMs, EVENT_TIMEOUT_MS);
      const traceparent = event.traceparent ?? newTraceparent();
      await this.call({ meta: { m: 'event', i: index }, body: JSON.stringify(event), timeoutMs, traceparent });
    };
    this.addEffect({
      kind: 'listener',
      label: topic,
      activate: () => {
        unsubscribe = events.subscribe(topic, deliver);
      },
      undo: () => unsubscribe?.(),
    });
  }

  addEffect(effect: OwnedEffect): void {
    if (this.#state === 'released')
      throw new AtollError('PLUGIN_NOT_ACTIVE', `${this.id} has stopped; it can't register anything.`);
    this.effects.add(effect);
    if (this.#state === 'active') effect.activate?.();
  }

  /** Makes what it registered visible. */
  activate(): void {
    this.#state = 'active';
    for (const effect of this.effects) effect.activate?.();
  }

  /** Undoes what it registered, latest first. New calls no longer find it; those in flight go on. */
  withdraw(): void {
    if (this.#state === 'released') return;
    this.#state = 'released';
    for (const effect of [...this.effects].reverse()) effect.undo();
    this.effects.clear();
  }

  /** Waits until nothing is in flight, at most this long. */
  async drain(timeoutMs: number): Promise<void> {
    const until = Date.now() + timeoutMs;
    while ((this.isolate?.client.inFlight ?? 0) > 0 && Date.now() < until)
      await new Promise((resolve) => setTimeout(resolve, 10));
  }

  /** Withdraws what it registered and ends what it holds, the isolate among it. */
  async stop(): Promise<void> {
    this.withdraw();
    for (const { label, error } of await this.scope.dispose()) this.log.error({ err: error }, `not ended: ${label}`);
  }

  /** Takes the isolate over: with the instance it may say goodbye, and ends. */
  own(isolate: SupervisedIsolate, end: (isolate: SupervisedIsolate) => Promise<void>): void {
    this.isolate = isolate;
    this.scope.own('isolate', async () => {
      this.isolate = undefined;
      if (!isolate.ended) {
        const goodbye = { meta: { m: 'stop' }, timeoutMs: STOP_TIMEOUT_MS, traceparent: newTraceparent() };
        await isolate.client.call(goodbye).catch(() => {});
      }
      await end(isolate);
    });
  }
}

/** A route's path: relative to the first mount, or absolute when it lies inside one of the mounts. */
function absolutePath({ mounts, id }: PluginManifest, path: string): string {
  if (!path.startsWith('/'))
    throw new AtollError('MANIFEST_INVALID', `${id}: the route path "${path}" must start with a slash.`);
  const inside = mounts.some((mount) => path === mount || path.startsWith(`${mount}/`));
  if (inside) return path;
  return path === '/' ? mounts[0]! : `${mounts[0]}${path}`;
}
