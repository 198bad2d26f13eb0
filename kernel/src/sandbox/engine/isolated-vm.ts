import ivm from 'isolated-vm';
import {
  type Engine,
  type EngineIsolate,
  type EngineOptions,
  type EngineStats,
  type GuestBatch,
  type GuestFailure,
  GuestRunError,
} from './engine.js';

/** The prelude that every isolate starts from: as a V8 snapshot when there is one, else as source. */
export interface Prelude {
  source: string;
  snapshot?: Buffer;
}

// Options without a prototype: a guest that pollutes Object.prototype can't add to what isolated-vm reads.
const bare = <const T extends object>(options: T): T => Object.freeze(Object.assign(Object.create(null) as T, options));
const IGNORED = bare({ ignored: true });
const SYNC = bare({ sync: true });
const BOOT_RESULT = bare({ result: bare({ reference: true }) });
const TRANSFER = bare({ transferOut: true });
const BOOT =
  '"use strict"; const boot = globalThis.__atollBoot; delete globalThis.__atollBoot; return boot($0, $1, $2);';
/** Loading the guest's own runtime is the host's code: it gets a fixed time. */
const BOOT_TIMEOUT_MS = 5_000;

export class IsolatedVmEngine implements Engine {
  readonly #snapshot: ivm.ExternalCopy<ArrayBuffer> | undefined;

  constructor(private readonly prelude: Prelude) {
    if (prelude.snapshot) {
      const { buffer, byteOffset, byteLength } = prelude.snapshot;
      this.#snapshot = new ivm.ExternalCopy(buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer);
    }
  }

  async create(options: EngineOptions): Promise<EngineIsolate> {
    const isolate = new ivm.Isolate({
      memoryLimit: options.memoryMb,
      onCatastrophicError: options.onCatastrophe,
      ...(this.#snapshot && { snapshot: this.#snapshot }),
    });
    try {
      const context = await isolate.createContext();
      if (!this.#snapshot) await this.#runPrelude(isolate, context);
      const deliver = await context.evalClosure(
        BOOT,
        this.#callbacks(options),
        bare({ ...BOOT_RESULT, timeout: BOOT_TIMEOUT_MS }),
      );
      return new IsolatedVmIsolate(isolate, context, deliver as ivm.Reference<DeliverFunction>);
    } catch (error) {
      if (!isolate.isDisposed) isolate.dispose();
      throw toRunError(error, isolate);
    }
  }

  async #runPrelude(isolate: ivm.Isolate, context: ivm.Context): Promise<void> {
    const script = await isolate.compileScript(this.prelude.source, bare({ filename: 'atoll:prelude' }));
    await script.run(context, bare({ timeout: BOOT_TIMEOUT_MS }));
    script.release();
  }

  #callbacks(options: EngineOptions): ivm.Callback[] {
    const post = (head: unknown, text: unknown, ...buffers: unknown[]) => options.onPost(head, text, buffers);
    return [
      new ivm.Callback(post, IGNORED),
      // The same, but the guest waits until the cell has taken it: the guest's brake when it sends a lot.
      new ivm.Callback(post, SYNC),
      new ivm.Callback((operation: unknown, argument: unknown) => options.onSync(operation, argument), SYNC),
    ];
  }
}

type DeliverFunction = (...args: unknown[]) => void;

class IsolatedVmIsolate implements EngineIsolate {
  constructor(
    private readonly isolate: ivm.Isolate,
    private readonly context: ivm.Context,
    private readonly deliverRef: ivm.Reference<DeliverFunction>,
  ) {}

  get disposed(): boolean {
    return this.isolate.isDisposed;
  }

  async run(code: string, filename: string, timeoutMs: number): Promise<void> {
    try {
      const script = await this.isolate.compileScript(code, bare({ filename }));
      await script.run(this.context, bare({ timeout: timeoutMs }));
      script.release();
    } catch (error) {
      throw toRunError(error, this.isolate);
    }
  }

  async deliver(batch: GuestBatch, timeoutMs: number): Promise<void> {
    try {
      await this.deliverRef.apply(undefined, argumentsOf(false, batch), bare({ timeout: timeoutMs }));
    } catch (error) {
      throw toRunError(error, this.isolate);
    }
  }

  deliverSync(batch: GuestBatch, timeoutMs: number): void {
    try {
      this.deliverRef.applySync(undefined, argumentsOf(true, batch), bare({ timeout: timeoutMs }));
    } catch (error) {
      throw toRunError(error, this.isolate);
    }
  }

  runTasks(): void {
    // Any asynchronous entry does them.
    if (!this.isolate.isDisposed) this.isolate.getHeapStatistics().catch(() => {});
  }

  stats(): EngineStats {
    if (this.isolate.isDisposed) return { heapBytes: 0, externalBytes: 0, cpuMs: 0 };
    const heap = this.isolate.getHeapStatisticsSync();
    return {
      heapBytes: heap.used_heap_size,
      externalBytes: heap.externally_allocated_size,
      cpuMs: Number(this.isolate.cpuTime / 1_000_000n),
    };
  }

  dispose(): void {
    if (!this.isolate.isDisposed) this.isolate.dispose();
  }
}

function argumentsOf(sync: boolean, { head, text, buffers }: GuestBatch): ivm.Transferable[] {
  const args: unknown[] = [sync, head, text];
  for (const buffer of buffers)
    args.push(new ivm.ExternalCopy(buffer, TRANSFER).copyInto(bare({ release: true, transferIn: true })));
  return args as ivm.Transferable[];
}

function toRunError(error: unknown, isolate: ivm.Isolate): GuestRunError {
  const message = error instanceof Error ? String(error.message) : String(error);
  const stack = error instanceof Error ? String(error.stack ?? '') : undefined;
  return new GuestRunError(classify(message, isolate.isDisposed), message.slice(0, 2_000), stack && guestPart(stack));
}

/** isolated-vm appends the host's own frames, which are nothing to a plugin's log. */
function guestPart(stack: string): string {
  return stack.slice(0, 8_000).replace(/\n +at [^\n]*(file:\/\/|node:|\(<isolated-vm)[\s\S]*$/, '');
}

function classify(message: string, disposed: boolean): GuestFailure {
  if (message === 'Script execution timed out.') return 'timeout';
  if (/memory limit|out of memory/i.test(message) && disposed) return 'memory';
  if (disposed || /isolate (was|is) (already )?disposed/i.test(message)) return 'disposed';
  return 'error';
}
