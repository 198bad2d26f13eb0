import type { PluginManifest } from '@atoll/registry';
import type { GuestReply, GuestRequest } from '../../sandbox/host/guest-call.js';
import { BodyKind } from '../../sandbox/protocol/frame-type.js';
import { compileGuestSchema } from '../../schema/index.js';
import { newTraceparent } from '../../telemetry/trace.js';
import { outputOf, outputOfChunks, outputOfError } from './call-output.js';
import { type ClosedPlugin, refusalOf } from './closed-plugin.js';
import { fromPayload } from './payload.js';
import { type CallOutput, describeTarget, type HostCall, type RecordedCall, type Target } from './recorded-call.js';
import { Tape } from './tape.js';

/** What came of a recorded call when it was made again. */
export interface ReplayedCall {
  output: CallOutput;
  /** With the answers that they got. */
  hostCalls: HostCall[];
  added: HostCall[];
  missing: HostCall[];
}

export interface ReplayOptions {
  manifest: PluginManifest;
  /** Also answers host calls whose input is another one than the recorded. */
  lenient: boolean;
  maskOutput: (output: CallOutput) => CallOutput;
}

/** For one call, in ms, whatever the plugin's own limit. */
const MAX_CALL_MS = 10_000;
/** A call that waits for time to pass gets it, several times as fast. */
const WAIT_MS = 25;
const STEP_MS = 200;
const MAX_OUTPUT_BYTES = 1_048_576;

/** Makes recorded calls again, one after the other, at the time that they had. */
export class Replay {
  constructor(
    private readonly plugin: ClosedPlugin,
    private readonly options: ReplayOptions,
  ) {}

  /** `seed` is where the randomness of this call begins. Never rejects: what goes wrong is what came of it. */
  async play(call: RecordedCall, recorded: readonly HostCall[], seed: number): Promise<ReplayedCall> {
    const tape = new Tape(recorded, { lenient: this.options.lenient, refusal: refusalOf });
    const output = await this.#play(call, tape, seed).catch(outputOfError);
    return {
      output: this.options.maskOutput(output),
      hostCalls: tape.made,
      added: tape.added,
      missing: [...tape.missing],
    };
  }

  async #play(call: RecordedCall, tape: Tape, seed: number): Promise<CallOutput> {
    const problem = this.#problemOf(call);
    if (problem) return { error: problem };
    await this.plugin.set(call.at, seed);
    const text = fromPayload(call.body);
    const request: GuestRequest = {
      meta: { ...call.meta, m: call.target.kind, i: this.plugin.registered.indexOf(call.target) },
      ...(text !== undefined && (call.bytes ? { body: Buffer.from(text), kind: BodyKind.BYTES } : { body: text })),
      timeoutMs: Math.min(this.options.manifest.limits.timeoutMs, MAX_CALL_MS),
      streams: true,
      traceparent: newTraceparent(),
      ...(call.principal && { principal: call.principal }),
    };
    try {
      return await this.#withTime(this.#answer(call, request, tape));
    } finally {
      this.plugin.forget(request);
    }
  }

  async #answer(call: RecordedCall, request: GuestRequest, tape: Tape): Promise<CallOutput> {
    const reply = await this.plugin.call(request, tape);
    const output = outputOf(call.target, reply);
    return reply.stream ? { ...output, ...(await outputOfStream(call.target, reply.stream)) } : output;
  }

  /** The clock stands still; it moves on for those that wait for it. */
  async #withTime<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const end = () => {
      settled = true;
    };
    work.then(end, end);
    while (!settled) {
      const tick = Promise.withResolvers<void>();
      const timer = setTimeout(tick.resolve, WAIT_MS);
      await Promise.race([work.catch(() => {}), tick.promise]);
      clearTimeout(timer);
      if (!settled) await this.plugin.advance(STEP_MS).catch(() => {});
    }
    return work;
  }

  /** What the kernel would have refused before the plugin is asked. */
  #problemOf({ target, meta, body }: RecordedCall): { code: string; message: string } | undefined {
    const { registered } = this.plugin;
    const index = registered.indexOf(target);
    if (index === undefined) return { code: 'NOT_FOUND', message: `It has no ${describeTarget(target)}.` };
    const schema = registered.find({ m: target.kind, i: index, n: meta.n })?.schemas.body;
    if (schema === undefined || !body || !('json' in body)) return undefined;
    const validator = compileGuestSchema(schema as Record<string, unknown>);
    if (validator.check(body.json)) return undefined;
    const [first] = validator.errors(body.json);
    return {
      code: 'VALIDATION_FAILED',
      message: `Its schema refuses the input: ${first?.pointer ?? ''} ${first?.message}`,
    };
  }
}

async function outputOfStream(target: Target, stream: NonNullable<GuestReply['stream']>): Promise<CallOutput> {
  const chunks: string[] = [];
  const decoder = new TextDecoder();
  let bytes = 0;
  try {
    for await (const chunk of stream) {
      chunks.push(decoder.decode(chunk, { stream: true }));
      bytes += chunk.length;
      if (bytes > MAX_OUTPUT_BYTES) break;
    }
    return outputOfChunks(target, chunks);
  } catch (error) {
    return { ...outputOfChunks(target, chunks), ...outputOfError(error) };
  }
}
