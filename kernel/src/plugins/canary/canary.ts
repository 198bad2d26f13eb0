import type { PluginFolder } from '@atoll/registry';
import type { PluginInstance } from '../instance.js';
import type { SwapOptions } from '../types.js';
import type { CanaryState, CanaryView, VersionFigures } from './canary-view.js';
import { CallMeter } from './meter.js';
import { judge, type Verdict } from './rule.js';
import type { CanarySpec } from './spec.js';
import { type Caller, Split } from './split.js';

export interface CanaryPlan {
  folder: PluginFolder;
  spec: CanarySpec;
  swap: SwapOptions;
  /** Makes the promotion durable. */
  commit: () => Promise<void>;
  /** Runs what changes the installation when nothing else does. */
  inTurn: <T>(task: () => Promise<T>) => Promise<T>;
}

export interface CanaryHooks {
  promote: (canary: Canary, reason: string) => void;
  rollBack: (canary: Canary, reason: string) => void;
}

const JUDGE_MS = 200;

/** Two versions that run side by side, the share of calls that each gets, and what came of them. */
export class Canary {
  readonly #split: Split;
  readonly #startedAt = new Date();
  readonly #began = performance.now();
  readonly #timer: NodeJS.Timeout;
  #running: PluginInstance;
  /** CPU time that the running version had used before, in ms. */
  #cpuBefore: number;
  #over:
    | { state: CanaryState; reason: string; at: Date; running: VersionFigures; candidate: VersionFigures }
    | undefined;
  /** It is being promoted: it is too late for anything else. */
  promoting = false;

  constructor(
    running: PluginInstance,
    readonly candidate: PluginInstance,
    readonly plan: CanaryPlan,
    private readonly hooks: CanaryHooks,
  ) {
    this.#split = new Split(candidate.id, plan.spec);
    this.#running = running;
    this.#cpuBefore = cpuOf(running);
    candidate.meter = new CallMeter();
    running.meter = new CallMeter();
    running.split = this;
    this.#timer = setInterval(() => this.#judge(), JUDGE_MS).unref();
  }

  get id(): string {
    return this.candidate.id;
  }

  get over(): boolean {
    return this.#over !== undefined;
  }

  /** Whether the candidate can still take calls. */
  get live(): boolean {
    return this.#over === undefined && this.candidate.live;
  }

  takes(caller: Caller): boolean {
    return this.live && this.#split.takes(caller);
  }

  pick(caller: Caller): PluginInstance {
    return this.takes(caller) ? this.candidate : this.#running;
  }

  /** Another instance of the running version has taken over. */
  rebind(running: PluginInstance): void {
    if (running === this.candidate) return;
    running.meter = this.#running.meter;
    running.split = this;
    this.#running.split = undefined;
    this.#running = running;
    this.#cpuBefore = cpuOf(running);
  }

  /** An end that nobody has asked for. */
  rollBack(reason: string): void {
    if (!this.over) this.hooks.rollBack(this, reason);
  }

  /** From here on all calls go to the version that stays. */
  end(state: Exclude<CanaryState, 'running'>, reason: string): void {
    if (this.#over) return;
    const { running, candidate } = this.#figures();
    this.#over = { state, reason, at: new Date(), running, candidate };
    clearInterval(this.#timer);
    this.#running.split = undefined;
    this.#running.meter = undefined;
    this.candidate.meter = undefined;
  }

  view(): CanaryView {
    const { spec } = this.plan;
    const { running, candidate } = this.#over ?? this.#figures();
    return {
      id: this.id,
      from: running.version,
      to: candidate.version,
      state: this.#over?.state ?? 'running',
      ...(this.#over && { reason: this.#over.reason }),
      startedAt: this.#startedAt.toISOString(),
      ...(this.#over && { endedAt: this.#over.at.toISOString() }),
      spec,
      running,
      candidate,
    };
  }

  #judge(): void {
    if (this.#over || this.promoting) return;
    const verdict = this.#verdict();
    if (verdict.outcome === 'promote') this.hooks.promote(this, verdict.reason);
    else if (verdict.outcome === 'roll back') this.hooks.rollBack(this, verdict.reason);
  }

  #verdict(): Verdict {
    const [candidate, running] = [this.candidate.meter, this.#running.meter];
    if (!candidate || !running) return { outcome: 'wait' };
    return judge(candidate.figures(), running.figures(), performance.now() - this.#began, this.plan.spec.rule);
  }

  #figures(): { running: VersionFigures; candidate: VersionFigures } {
    return { running: figuresOf(this.#running, this.#cpuBefore), candidate: figuresOf(this.candidate, 0) };
  }
}

const cpuOf = ({ isolate }: PluginInstance): number => isolate?.report?.cpuMs ?? 0;

function figuresOf({ manifest, meter, isolate }: PluginInstance, cpuBefore: number): VersionFigures {
  const figures = (meter ?? new CallMeter()).figures();
  const report = isolate?.report;
  return {
    version: manifest.version,
    ...figures,
    callsInFlight: isolate?.client.inFlight ?? 0,
    ...(report && { heapBytes: report.heapBytes, cpuMs: Math.max(0, report.cpuMs - cpuBefore) }),
  };
}
