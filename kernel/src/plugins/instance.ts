import {
  AtollError,
  type ChannelRegistration,
  type CloudEvent,
  type Principal,
  type RouteRegistration,
} from '@atoll/plugin-sdk/contract';
import type { PluginManifest } from '@atoll/registry';
import { assertOutsideTransaction } from '../database/index.js';
import type { PluginScope } from '../di/plugin-scope.js';
import type { EventBus, Subscription } from '../events/index.js';
import { Allowance } from '../sandbox/host/allowance.js';
import type { GuestReply, GuestRequest } from '../sandbox/host/guest-call.js';
import type { SupervisedIsolate } from '../sandbox/host/supervisor.js';
import type { SetupReplyMeta } from '../sandbox/protocol/messages.js';
import { compileGuestSchema, type Validator } from '../schema/index.js';
import type { OwnedEffect } from '../syscalls/table.js';
import type { Logger } from '../telemetry/logger.js';
import { topicGranted, topicsOverlap } from '../syscalls/topic-permission.js';
import { newTraceparent } from '../telemetry/trace.js';
import { absolutePath } from './absolute-path.js';
import type { Permits } from './permissions/permits.js';
import type { CallMeter } from './canary/meter.js';
import type { Caller } from './canary/split.js';
import type { CallRecorder } from './rehearsal/recorder.js';
import { Registered } from './rehearsal/registered.js';
import { EffectSet } from './effect-set.js';
import { RegistrationBudget } from './registration-budget.js';
import { routeCaller } from './route-caller.js';
import type { ErrorTemplate, PluginRoute } from './types.js';

export interface Channel {
  /** `<plugin id>.<name>`. */
  name: string;
  index: number;
  input?: Validator;
  /** `<plugin id>/<name>` */
  permission?: `${string}/${string}`;
}

/** How long a listener may take for one event, in ms, whatever the plugin's own limit. */
const EVENT_TIMEOUT_MS = 30_000;
/** As JSON. Events tell what has happened; what is large is kept in the storage, and named. */
const MAX_EVENT_BYTES = 262_144;
const MAX_WAITING_EVENT_BYTES = 8_388_608;
const STOP_TIMEOUT_MS = 1_000;

/**
 * One running version of a plugin: its isolate and everything it registered. What it registers is staged until the instance
 * becomes the active one, and withdrawn as a whole and at once when another takes over; what it holds ends later, when it has drained.
 */
export class PluginInstance {
  readonly routes: PluginRoute[] = [];
  readonly channels = new Map<string, Channel>();
  readonly effects: EffectSet;
  readonly registrations: RegistrationBudget;
  readonly startedAt = new Date();
  isolate: SupervisedIsolate | undefined;
  /** What the plugin said about its state when it was set up. */
  handoff: SetupReplyMeta['handoff'] = null;
  /** While a canary runs, for it and the running version: what their calls came to. */
  meter: CallMeter | undefined;
  /** While a canary runs beside it: which of them takes a call. */
  split: { pick(caller: Caller): PluginInstance } | undefined;
  /** What the indexes in its calls stand for. */
  readonly registered = new Registered();
  /** While its calls are recorded. */
  recorder: CallRecorder | undefined;
  #pause: PromiseWithResolvers<void> | undefined;
  #successor: PluginInstance | undefined;
  /** Topic → index of its first listener. */
  readonly #listeners = new Map<string, number>();
  /** Listeners that still deliver what was queued when they were withdrawn. */
  readonly #finishing = new Set<Promise<void>>();
  /** Bytes of its own events that wait somewhere. */
  readonly #events = new Allowance(MAX_WAITING_EVENT_BYTES);

  constructor(
    readonly manifest: PluginManifest,
    readonly permits: Permits,
    /** What lives as long as this instance: its container, and what ends with it. */
    readonly scope: PluginScope,
    private readonly log: Logger,
  ) {
    this.registrations = new RegistrationBudget(manifest.id);
    this.effects = new EffectSet(manifest.id, () => permits.granted);
    permits.onChange = () => this.effects.reconsider();
    scope.own('permits', () => permits.release());
  }

  get id(): string {
    return this.manifest.id;
  }

  get active(): boolean {
    return this.effects.state === 'active';
  }

  /** False once another version, or none, has taken over. */
  get live(): boolean {
    return this.effects.state !== 'released';
  }

  /** The version that takes a call: this one, or its canary. */
  taking(caller: Caller): PluginInstance {
    return this.split?.pick(caller) ?? this;
  }

  /** While state is handed over: new calls wait until it has `resumed`, and then look who is live. */
  get paused(): boolean {
    return this.#pause !== undefined;
  }

  async resumed(): Promise<void> {
    await this.#pause?.promise;
  }

  /** Lets new calls wait. The returned function lets them go on. */
  pause(): () => void {
    const pause = Promise.withResolvers<void>();
    this.#pause = pause;
    return () => {
      if (this.#pause === pause) this.#pause = undefined;
      pause.resolve();
    };
  }

  /** State was handed over: events that still wait here are for the other one. */
  handedOverTo(successor: PluginInstance): void {
    this.#successor = successor;
  }

  /** Calls into the isolate. Rejects with an AtollError. */
  call(request: GuestRequest): Promise<GuestReply> {
    assertOutsideTransaction('A call into a plugin');
    if (!this.isolate) return Promise.reject(new AtollError('PLUGIN_NOT_ACTIVE', `${this.id} does not run.`));
    const { client } = this.isolate;
    return this.recorder ? this.recorder.record(request, (one) => client.call(one)) : client.call(request);
  }

  async setup(config: Record<string, unknown>, timeoutMs: number): Promise<void> {
    const { id, version } = this.manifest;
    const reply = await this.call({
      meta: { m: 'setup', plugin: { id, version }, config },
      timeoutMs,
      traceparent: newTraceparent(),
    });
    this.handoff = parseHandoff(reply.meta);
    await this.call({ meta: { m: 'health' }, timeoutMs, traceparent: newTraceparent() }).catch((error: AtollError) => {
      throw error.code === 'PLUGIN_TIMEOUT'
        ? new AtollError('PLUGIN_START_FAILED', 'Its health check did not answer in time.')
        : error;
    });
  }

  registerRoute(index: number, registration: RouteRegistration): void {
    const path = absolutePath(this.manifest, registration.path);
    if (this.effects.state !== 'staging')
      throw new AtollError('VALIDATION_FAILED', `Routes are registered during the setup; ${path} comes too late.`);
    const errorTemplate = this.manifest.errors as ErrorTemplate | undefined;
    const route: PluginRoute = {
      plugin: this.id,
      registration,
      path,
      ...(errorTemplate && { errorTemplate }),
      call: routeCaller(this, index, registration),
      version: this,
    };
    if (this.routes.some((other) => other.path === path && other.registration.method === registration.method)) {
      throw new AtollError('PLUGIN_CLASH', `The route ${registration.method} ${path} is registered twice.`);
    }
    this.routes.push(route);
    this.registered.route(index, path, registration);
    this.addEffect({
      kind: 'route',
      label: `${registration.method} ${path}`,
      undo: () => this.routes.splice(this.routes.indexOf(route), 1),
    });
  }

  registerChannel(index: number, registration: ChannelRegistration): void {
    const { name, input, permission } = registration;
    const full = `${this.id}.${name}`;
    if (this.channels.has(full)) throw new AtollError('PLUGIN_CLASH', `The channel ${full} is registered twice.`);
    this.channels.set(full, {
      name: full,
      index,
      ...(input && { input: compileGuestSchema(input) }),
      ...(permission !== undefined && { permission: `${this.id}/${permission}` as const }),
    });
    this.registered.channel(index, registration);
    this.addEffect({ kind: 'channel', label: full, undo: () => this.channels.delete(full) });
  }

  /** An event of so many bytes is about to wait for its listeners; the returned function says that it has gone. */
  holdEvent(bytes: number): () => void {
    if (bytes > MAX_EVENT_BYTES)
      throw new AtollError('BODY_TOO_LARGE', `An event of ${bytes} bytes; ${MAX_EVENT_BYTES} are allowed.`);
    if (!this.#events.take(bytes))
      throw new AtollError('PLUGIN_FLOODING', `Events of ${this.id} come faster than their listeners take them.`);
    return () => this.#events.give(bytes);
  }

  registerListener(index: number, topic: string, events: EventBus): void {
    let subscription: Subscription | undefined;
    if (!this.#listeners.has(topic)) this.#listeners.set(topic, index);
    this.scope.own(`listener ${topic}`, () => subscription?.());
    this.addEffect({
      kind: 'listener',
      label: topic,
      activate: () => {
        subscription = events.subscribe(topic, (event) => this.#deliver(index, topic, event));
      },
      needs: ({ permissions }) => topicsOverlap(topic, permissions.events.subscribe),
      undo: () => {
        if (subscription) this.#awaitEnd(subscription.finish());
      },
    });
  }

  async #deliver(index: number, topic: string, event: CloudEvent): Promise<void> {
    await this.resumed();
    // Of what it listens to, only a part may be left to it.
    if (!topicGranted(event.type, this.permits.granted.permissions.events.subscribe)) return;
    this.permits.used({ kind: 'events.subscribe', value: topic });
    const { target, i } = this.#heirOf(topic) ?? { target: this, i: index };
    const timeoutMs = Math.min(target.manifest.limits.timeoutMs, EVENT_TIMEOUT_MS);
    const traceparent = event.traceparent ?? newTraceparent();
    const principal = this.#inTheNameOf(event);
    await target.call({
      meta: { m: 'event', i },
      body: JSON.stringify(event),
      timeoutMs,
      traceparent,
      ...(principal && { principal }),
    });
  }

  /** What comes of an event belongs to the organisation that it belongs to. */
  #inTheNameOf({ organisation }: CloudEvent): Principal | undefined {
    return organisation === undefined ? undefined : { kind: 'plugin', id: this.id, organisation, roles: [] };
  }

  #heirOf(topic: string): { target: PluginInstance; i: number } | undefined {
    if (this.live || !this.#successor) return undefined;
    const i = this.#successor.#listeners.get(topic);
    return i === undefined ? undefined : { target: this.#successor, i };
  }

  #awaitEnd(finished: Promise<void>): void {
    this.#finishing.add(finished);
    void finished.finally(() => this.#finishing.delete(finished));
  }

  addEffect(effect: OwnedEffect): void {
    this.effects.add(effect);
  }

  /** Makes what it registered visible. */
  activate(): void {
    this.effects.activate();
  }

  /** Undoes what it registered, latest first. New calls no longer find it; those in flight go on. */
  withdraw(): void {
    this.effects.withdraw();
  }

  /** Waits until nothing is in flight and no event is left, at most this long. */
  async drain(timeoutMs: number): Promise<void> {
    const until = performance.now() + timeoutMs;
    const busy = () => (this.isolate?.client.inFlight ?? 0) > 0 || this.#finishing.size > 0;
    while (busy() && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
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

/** What the guest says of itself may be anything. */
function parseHandoff(meta: string): SetupReplyMeta['handoff'] {
  const { handoff } = JSON.parse(meta === '' ? '{}' : meta) as { handoff?: Record<string, unknown> | null };
  if (typeof handoff !== 'object' || handoff === null || !Number.isSafeInteger(handoff.version)) return null;
  return { version: Number(handoff.version), gives: handoff.gives === true, receives: handoff.receives === true };
}
