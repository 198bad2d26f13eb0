import {
  AtollError,
  type ChannelRegistration,
  type RouteRegistration,
  type ServiceRegistration,
} from '@atoll/plugin-sdk/contract';
import type { PluginManifest } from '@atoll/registry';
import type { GuestReply, GuestRequest } from '../../sandbox/host/guest-call.js';
import { SOLO_PREFIX } from '../../sandbox/host/cell-pool.js';
import type { SupervisedIsolate, Supervisor } from '../../sandbox/host/supervisor.js';
import type { Syscall, SyscallReply } from '../../sandbox/host/syscall.js';
import { newTraceparent } from '../../telemetry/trace.js';
import { absolutePath } from '../absolute-path.js';
import { hostCallOf } from './draft.js';
import { fromPayload } from './payload.js';
import type { HostAnswer } from './recorded-call.js';
import { Registered } from './registered.js';
import { REGISTERING } from './registering.js';
import { Tape } from './tape.js';

export interface ClosedPluginSpec {
  manifest: PluginManifest;
  code: string;
  config: Record<string, unknown>;
  maxMemoryMb: number;
  startTimeoutMs: number;
  /** Epoch ms that its clock begins with. */
  startAt: number;
}

/** The kernel's own calls need a place beside those of the plugin. */
const SPARE_SLOTS = 8;
const KERNEL_CALL_MS = 5_000;
let next = 1;

/**
 * A version in an isolate and a cell of its own, with no way out: what it registers nobody sees, and every host call is answered from a
 * tape. Its clock stands still between what it is told, and its randomness comes from a seed.
 */
export class ClosedPlugin {
  readonly registered = new Registered();
  /** The tape of what it does outside of any call, such as in timers. */
  readonly background = new Tape([], { lenient: false, refusal: refusalOf });
  readonly #tapes = new Map<GuestRequest, Tape>();
  #isolate: SupervisedIsolate | undefined;

  private constructor(
    private readonly supervisor: Supervisor,
    private readonly spec: ClosedPluginSpec,
    /** Hides from the tape what may not be on it. */
    private readonly mask: <T>(part: T) => T,
  ) {}

  /** Rejects with an AtollError when it does not come up; nothing is left of it then. */
  static async open(
    supervisor: Supervisor,
    spec: ClosedPluginSpec,
    { setup, mask }: { setup: Tape; mask: <T>(part: T) => T },
  ): Promise<ClosedPlugin> {
    const plugin = new ClosedPlugin(supervisor, spec, mask);
    try {
      await plugin.#start(setup);
      return plugin;
    } catch (error) {
      await plugin.close();
      throw error;
    }
  }

  get ended(): boolean {
    return this.#isolate?.ended ?? true;
  }

  async call(request: GuestRequest, tape: Tape): Promise<GuestReply> {
    if (!this.#isolate) throw new AtollError('PLUGIN_NOT_ACTIVE');
    this.#tapes.set(request, tape);
    return this.#isolate.client.call(request);
  }

  /** Host calls of a call that has ended are no longer its own. */
  forget(request: GuestRequest): void {
    this.#tapes.delete(request);
  }

  /** The time it is, and where its randomness begins. */
  async set(at: number, seed: number): Promise<void> {
    await this.#tell({ m: 'clock', jump: at });
    await this.#tell({ m: 'random', seed });
  }

  async advance(ms: number): Promise<void> {
    await this.#tell({ m: 'clock', advance: ms });
  }

  async close(): Promise<void> {
    const isolate = this.#isolate;
    this.#isolate = undefined;
    if (isolate) await this.supervisor.stop(isolate);
  }

  async #start(setup: Tape): Promise<void> {
    const { manifest, code, config, maxMemoryMb, startTimeoutMs, startAt } = this.spec;
    const { id, version, limits } = manifest;
    this.#isolate = await this.supervisor.start({
      name: id,
      group: `${SOLO_PREFIX}${id}@rehearsal-${next++}`,
      code,
      memoryMb: Math.min(limits.memoryMb, maxMemoryMb),
      timeoutMs: limits.timeoutMs,
      concurrency: limits.concurrency + SPARE_SLOTS,
      principal: { kind: 'plugin', id, roles: [] },
      traceparent: newTraceparent,
      onSyscall: (syscall) => void this.#answer(syscall),
      onEvent: () => {},
      onGuestError: () => {},
      onEnd: () => {},
      onEvict: () => {},
    });
    await this.#tell({ m: 'clock', now: startAt });
    await this.#tell({ m: 'random', seed: 1 });
    const meta = { m: 'setup', plugin: { id, version }, config };
    const request = { meta, timeoutMs: startTimeoutMs, traceparent: newTraceparent() };
    await this.call(request, setup);
    this.forget(request);
    await this.#tell({ m: 'health' });
  }

  async #tell(meta: { m: string; [member: string]: unknown }): Promise<void> {
    await this.#isolate?.client.call({ meta, timeoutMs: KERNEL_CALL_MS, traceparent: newTraceparent() });
  }

  async #answer(syscall: Syscall): Promise<void> {
    try {
      if (REGISTERING.has(syscall.method)) {
        this.#register(syscall);
        return syscall.answer({});
      }
      const tape = (syscall.parent && this.#tapes.get(syscall.parent.request)) ?? this.background;
      const { method, input } = hostCallOf(syscall);
      if (syscall.request) for await (const chunk of syscall.request) void chunk;
      give(syscall, tape.take(method, this.mask(input)));
    } catch (error) {
      syscall.refuse(error);
    }
  }

  /** Only to find by which index it is called; whether it may, its own start will tell. */
  #register(syscall: Syscall): void {
    const { body, method } = syscall;
    const { index = 0, registration } = JSON.parse(body?.toString('utf8') ?? '{}') as {
      index?: number;
      registration?: unknown;
    };
    if (method === 'http.route') {
      const route = registration as RouteRegistration;
      this.registered.route(index, absolutePath(this.spec.manifest, route.path), route);
    } else if (method === 'ws.channel') this.registered.channel(index, registration as ChannelRegistration);
    else if (method === 'services.provide') this.registered.service(index, registration as ServiceRegistration);
  }
}

const notRecorded = (method: string): AtollError =>
  new AtollError('REHEARSAL_NOT_RECORDED', `The recording has no answer for this call of ${method}.`);

/** The answer to a host call that is not on the tape. */
export const refusalOf = (method: string): HostAnswer => {
  const { code, message } = notRecorded(method);
  return { error: { code, message } };
};

function give(syscall: Syscall, { head, body, bytes, stream, error }: HostAnswer): void {
  if (error && !stream) return syscall.refuse(asError(error));
  const text = fromPayload(body);
  const content = text === undefined ? {} : bytes ? { bytes: Buffer.from(text) } : { json: text };
  const reply: SyscallReply = { ...(head !== undefined && { head }), ...content };
  if (stream)
    syscall.answer({ ...reply, stream: streamOf(bytes ? stream.map((one) => Buffer.from(one)) : stream, error) });
  else syscall.answer(reply);
}

async function* streamOf(
  chunks: readonly (Buffer | string)[],
  error: HostAnswer['error'],
): AsyncGenerator<Buffer | string> {
  yield* chunks;
  if (error) throw asError(error);
}

const asError = ({ code, message, extras = {} }: NonNullable<HostAnswer['error']>): AtollError =>
  new AtollError(code, message, extras);
