/** What a cell needs of a JavaScript engine. isolated-vm is behind it today; another engine is another implementation. */
export interface Engine {
  create(options: EngineOptions): Promise<EngineIsolate>;
}

export interface EngineOptions {
  /** Shown in stack traces. */
  name: string;
  /** Heap limit in MiB. */
  memoryMb: number;
  /** Frames from the guest; see guest/runtime/post.ts for the form. Called on the cell's main thread; must not throw. */
  onPost: (head: unknown, text: unknown, buffers: unknown[]) => void;
  /** A synchronous host operation; its answer is data, it never throws. */
  onSync: (operation: unknown, argument: unknown) => string;
  /** The engine's heap is beyond repair. The process should be given up soon. */
  onCatastrophe: (message: string) => void;
}

/** One entry into a guest: frames packed as deliver() of guest/runtime/deliver.ts takes them. */
export interface GuestBatch {
  head: string;
  text: string;
  buffers: ArrayBuffer[];
}

export interface EngineStats {
  heapBytes: number;
  externalBytes: number;
  cpuMs: number;
}

/** How running guest code ended when it did not end well. */
export type GuestFailure = 'timeout' | 'memory' | 'disposed' | 'error';

export class GuestRunError extends Error {
  override readonly name = 'GuestRunError';
  constructor(
    readonly failure: GuestFailure,
    message: string,
    /** Text the guest controls; cap and treat as untrusted. */
    readonly guestStack?: string,
  ) {
    super(message);
  }
}

export interface EngineIsolate {
  /** Runs a script. Rejects with a GuestRunError. */
  run(code: string, filename: string, timeoutMs: number): Promise<void>;
  /** Hands frames to the guest and runs it, in a thread of its own, until its microtasks are done. Rejects with a GuestRunError. */
  deliver(batch: GuestBatch, timeoutMs: number): Promise<void>;
  /**
   * The same in this thread, which saves two changes of threads and holds up everything else here. What the guest posts comes
   * before it returns. Throws a GuestRunError.
   */
  deliverSync(batch: GuestBatch, timeoutMs: number): void;
  /** Does what the engine has put off: a run in this thread leaves out the engine's own tasks, such as steps of garbage collection. */
  runTasks(): void;
  stats(): EngineStats;
  dispose(): void;
  readonly disposed: boolean;
}
