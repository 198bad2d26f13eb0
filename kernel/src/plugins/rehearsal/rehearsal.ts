import type { PluginManifest } from '@atoll/registry';
import type { Supervisor } from '../../sandbox/host/supervisor.js';
import { maskOutput, secretsOfConfig } from './call-mask.js';
import { ClosedPlugin, refusalOf } from './closed-plugin.js';
import { type CallReport, compareCalls, compareHostCalls, isSteady } from './compare.js';
import { isSame } from './diff.js';
import type { Masker } from './masker.js';
import type { HostCall, RecordedCall } from './recorded-call.js';
import { Replay, type ReplayedCall } from './replay.js';
import { MAX_REPORTED, type RehearsalReport } from './report.js';
import { Tape } from './tape.js';

/** One of the two versions. */
export interface Performer {
  manifest: PluginManifest;
  code: string;
  config: Record<string, unknown>;
}

export interface RehearsalDeps {
  supervisor: Supervisor;
  masker: Masker;
  maxMemoryMb: number;
  startTimeoutMs: number;
  /** For all calls of one version together. */
  timeoutMs: number;
}

/** What it puts off for no longer than this is seen, too. */
const AFTERWARDS_MS = 5_000;

interface Played {
  calls: ReplayedCall[];
  setup: Tape;
  background: HostCall[];
}

/**
 * Replays recorded calls against the running version and against a candidate, each in a closed isolate, and compares the two: with the
 * same clock, the same seed for randomness, memory that begins empty, and host calls answered from the recording. What already the
 * running version does otherwise than it was recorded is so no difference of the candidate's.
 */
export class Rehearsal {
  constructor(
    private readonly deps: RehearsalDeps,
    private readonly recorded: { setup: RecordedCall | undefined; calls: readonly RecordedCall[] },
  ) {}

  /** Rejects when the running version does not come up in a closed isolate; that the candidate does not is a finding. */
  async run(running: Performer, candidate: Performer): Promise<RehearsalReport> {
    const { setup, calls } = this.recorded;
    const before = await this.#perform(running, setup?.hostCalls ?? [], { lenient: true });
    const tried = calls.slice(0, before.calls.length);
    const after = await this.#perform(candidate, before.setup.made, { lenient: false, before, tried }).catch(
      (error: unknown) => nothing(tried, before, error),
    );
    const compared = tried.slice(0, after.calls.length);
    const reports = compared.map((call, at) => compareCalls(call, before.calls[at]!, after.calls[at]!));
    const found = [setupReport(after.setup), ...reports, backgroundReport(before, after)].filter(
      (one): one is CallReport => one !== undefined,
    );
    const failed = found.filter(({ outcome }) => outcome === 'failed').length;
    return {
      id: running.manifest.id,
      from: running.manifest.version,
      to: candidate.manifest.version,
      summary: {
        calls: compared.length,
        same: reports.filter((one) => one === undefined).length,
        different: found.length - failed,
        failed,
        unsteady: compared.filter((call, at) => !isSteady(call, before.calls[at]!)).length,
        skipped: calls.length - compared.length,
      },
      calls: found.slice(0, MAX_REPORTED),
    };
  }

  async #perform(
    { manifest, code, config }: Performer,
    setupCalls: readonly HostCall[],
    options: { lenient: boolean; before?: Played; tried?: readonly RecordedCall[] },
  ): Promise<Played> {
    const { supervisor, masker, maxMemoryMb, startTimeoutMs, timeoutMs } = this.deps;
    const calls = options.tried ?? this.recorded.calls;
    const { lenient } = options;
    const base = secretsOfConfig(manifest.config, config, masker);
    const setup = new Tape(setupCalls, { lenient, refusal: refusalOf });
    const spec = { manifest, code, config, maxMemoryMb, startTimeoutMs, startAt: calls[0]?.at ?? Date.now() };
    const hide = <T>(part: T): T => {
      const known = new Map(base);
      masker.collect(part, known);
      return masker.mask(part, known);
    };
    const plugin = await ClosedPlugin.open(supervisor, spec, { setup, mask: hide });
    const replay = new Replay(plugin, { manifest, lenient, maskOutput: (one) => maskOutput(one, masker, base) });
    const until = performance.now() + timeoutMs;
    const played: ReplayedCall[] = [];
    try {
      for (const [at, call] of calls.entries()) {
        if (performance.now() > until) break;
        played.push(await replay.play(call, options.before?.calls[at]?.hostCalls ?? call.hostCalls, at + 1));
      }
      await plugin.advance(AFTERWARDS_MS).catch(() => {});
      return { calls: played, setup, background: plugin.background.made };
    } finally {
      await plugin.close();
    }
  }
}

/** The candidate did not even start: so it ends each of the calls. */
function nothing(calls: readonly RecordedCall[], before: Played, error: unknown): Played {
  const { code = 'PLUGIN_START_FAILED', message = String(error) } = error as { code?: string; message?: string };
  const failure = (at: number): ReplayedCall => ({
    output: { error: { code, message: `It does not start: ${message}` } },
    hostCalls: [],
    added: [],
    missing: before.calls[at]?.hostCalls ?? [],
  });
  return {
    calls: calls.map((_, at) => failure(at)),
    setup: new Tape([], { lenient: false, refusal: refusalOf }),
    background: before.background,
  };
}

function setupReport({ missing, added }: Tape): CallReport | undefined {
  if (missing.length === 0 && added.length === 0) return undefined;
  return { call: 'setup', outcome: 'different', output: [], hostCalls: compareHostCalls(missing, added) };
}

/** In timers and after answers, how often something is done depends on the time that passed; what is done does not. */
function backgroundReport(before: Played, after: Played): CallReport | undefined {
  const beyond = (some: HostCall[], others: HostCall[]) =>
    some.filter((one, at) => !others.some((other) => alike(one, other)) && some.findIndex((o) => alike(o, one)) === at);
  const hostCalls = compareHostCalls(
    beyond(before.background, after.background),
    beyond(after.background, before.background),
  );
  if (Object.values(hostCalls).every((list) => list.length === 0)) return undefined;
  return { call: 'outside of calls', outcome: 'different', output: [], hostCalls };
}

const alike = (a: HostCall, b: HostCall): boolean => a.method === b.method && isSame(a.input, b.input);
