import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Claim, JobDefinition, JobWork } from './types.js';

/** A claim that is being worked at. */
export interface Run extends Claim {
  readonly definition: JobDefinition;
  readonly controller: AbortController;
  /** Somebody else decides on the job now: whatever comes of this run is of no account. */
  forsaken: boolean;
  progress?: number;
  /** When the lease was asked for the last time that it was granted, by `performance.now()`. */
  renewedAt: number;
}

export interface WorkerDeps {
  claim(queue: string, limit: number): Promise<Claim[]>;
  begun(run: Run): void;
  completed(run: Run, result: unknown): Promise<void>;
  failed(run: Run, error: AtollError): Promise<void>;
  /** Given up undone; `lost` when its process or isolate ended under it. */
  interrupted(run: Run, lost: boolean, error: AtollError): Promise<void>;
  ended(run: Run): void;
  /** The queue could not be asked; it will be asked again. */
  problem(error: unknown): void;
}

/** Takes jobs of one queue and does them, a number of them at a time, until it is stopped. */
export class Worker {
  readonly #running = new Set<Promise<void>>();
  #stopped = false;
  #asking = false;
  #again = false;

  constructor(
    readonly queue: string,
    private readonly definition: JobDefinition,
    private readonly work: JobWork,
    private readonly deps: WorkerDeps,
  ) {}

  /** Looks for jobs as long as there is room for more. One question at a time is on its way, whatever happens meanwhile. */
  wake(): void {
    if (this.#stopped) return;
    this.#again = true;
    if (this.#asking) return;
    this.#asking = true;
    this.#fill()
      .catch((error) => this.deps.problem(error))
      .finally(() => {
        this.#asking = false;
        if (this.#again) this.wake();
      });
  }

  /** Takes no more. What it has begun goes on. */
  stop(): void {
    this.#stopped = true;
  }

  /** Resolves when nothing is being worked at. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #fill(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      const room = this.definition.concurrency - this.#running.size;
      if (room <= 0) return;
      const asked = performance.now();
      for (const claim of await this.deps.claim(this.queue, room)) this.#begin(claim, asked);
    }
  }

  #begin(claim: Claim, renewedAt: number): void {
    const run: Run = {
      ...claim,
      definition: this.definition,
      controller: new AbortController(),
      forsaken: false,
      renewedAt,
    };
    this.deps.begun(run);
    const done = this.#do(run)
      .catch((error) => this.deps.problem(error))
      .finally(() => {
        this.#running.delete(done);
        this.deps.ended(run);
        this.wake();
      });
    this.#running.add(done);
  }

  async #do(run: Run): Promise<void> {
    // It was claimed while another version took over.
    if (this.#stopped) return this.deps.interrupted(run, false, new AtollError('SHUTTING_DOWN'));
    let result: unknown;
    try {
      result = await this.work.run(run, run.controller.signal);
    } catch (thrown) {
      const error = thrown instanceof AtollError ? thrown : new AtollError('INTERNAL', String(thrown));
      if (run.forsaken) return;
      const left = !this.work.live() && (error.code === 'PLUGIN_NOT_ACTIVE' || error.code === 'SHUTTING_DOWN');
      if (left) return this.deps.interrupted(run, false, error);
      if (error.code === 'PLUGIN_CRASHED') return this.deps.interrupted(run, true, error);
      return this.deps.failed(run, error);
    }
    if (!run.forsaken) await this.deps.completed(run, result);
  }
}
