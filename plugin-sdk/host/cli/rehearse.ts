import { type Command, InvalidArgumentError } from 'commander';
import { change, request } from './client.js';
import type { Run } from './command.js';
import { EXIT } from './errors.js';
import { pluginAt } from './server-paths.js';
import { parseSpec } from './store.js';

interface Difference {
  pointer: string;
  before?: unknown;
  after?: unknown;
}

interface CallReport {
  call: string;
  outcome: string;
  output: Difference[];
  hostCalls: {
    added: { method: string; input: unknown }[];
    missing: { method: string; input: unknown }[];
    changed: { method: string; differences: Difference[] }[];
  };
}

interface Report {
  id: string;
  from: string;
  to: string;
  summary: { calls: number; same: number; different: number; failed: number; unsteady: number; skipped: number };
  calls: CallReport[];
}

interface Recording {
  id: string;
  on: boolean;
  sample: number;
  keep: number;
  calls: number;
  bytes: number;
  leftOut: Record<string, number>;
}

/** `atoll rehearse`. */
export function rehearseCommand(program: Command, run: Run): void {
  program
    .command('rehearse <id[@version]>')
    .description('replay recorded calls against another version in a closed isolate, and show what it does otherwise')
    .action((spec: string) =>
      run(async (out, server) => {
        const { name, range } = parseSpec(spec);
        const body = range === undefined || range === '' ? {} : { version: range };
        const report = await out.step(`Rehearsing ${spec}`, () =>
          change<Report>(server, 'POST', `${pluginAt(name)}/rehearse`, body),
        );
        out.result(report, reportText(report));
        if (report.calls.length > 0) process.exitCode = EXIT.FAILURE;
      }),
    );
}

/** `atoll plugins record`. */
export function recordCommand(plugins: Command, run: Run): void {
  plugins
    .command('record <id>')
    .description('record calls of a plugin in memory, secrets and personal data masked, for `atoll rehearse`')
    .option('--off', 'no longer')
    .option('--show', 'only tell what is recorded')
    .option('--sample <share>', 'which part of the calls, 0 to 1', number)
    .option('--keep <n>', 'how many calls are kept', number)
    .action((id: string, { off, show, ...given }: { off?: boolean; show?: boolean; sample?: number; keep?: number }) =>
      run(async (out, server) => {
        const target = `${pluginAt(id)}/recording`;
        const recording = show
          ? await request<Recording>(server, 'GET', target)
          : await change<Recording>(server, 'PUT', target, { on: off !== true, ...given });
        out.result(recording, recordingText(recording));
      }),
    );
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError('Expected a number.');
  return value;
}

function recordingText({ id, on, sample, keep, calls, bytes, leftOut }: Recording): string {
  if (!on) return `Calls of ${id} are not recorded.`;
  const left = Object.entries(leftOut).filter(([, count]) => count > 0);
  const out = left.length === 0 ? '' : ` Left out: ${left.map(([why, count]) => `${count} ${why}`).join(', ')}.`;
  const share = sample === 1 ? '' : `, ${sample * 100} % of them`;
  return `Calls of ${id} are recorded${share}: ${calls} of at most ${keep} are kept (${Math.ceil(bytes / 1024)} KiB).${out}`;
}

function reportText({ id, from, to, summary, calls }: Report): string {
  const { same, different, failed, unsteady, skipped } = summary;
  const lines = [
    `${id}@${to} beside ${from}: ${same} of ${summary.calls} calls are the same, ${different} different, ${failed} failed.`,
    ...(unsteady > 0 ? [`${unsteady} of them the running version does not do the same again either.`] : []),
    ...(skipped > 0 ? [`For ${skipped} no time was left.`] : []),
    ...calls.flatMap(callLines),
  ];
  return lines.join('\n');
}

function callLines({ call, outcome, output, hostCalls }: CallReport): string[] {
  const { added, missing, changed } = hostCalls;
  return [
    `\n${call} (${outcome})`,
    ...output.map((one) => `  ${differenceText(one)}`),
    ...changed.flatMap(({ method, differences }) => [
      `  calls ${method} otherwise`,
      ...differences.map((one) => `    ${differenceText(one)}`),
    ]),
    ...added.map(({ method, input }) => `  also calls ${method} ${JSON.stringify(input)}`),
    ...missing.map(({ method, input }) => `  no longer calls ${method} ${JSON.stringify(input)}`),
  ];
}

const differenceText = ({ pointer, before, after }: Difference): string =>
  `${pointer === '' ? '/' : pointer}: ${JSON.stringify(before) ?? 'absent'} → ${JSON.stringify(after) ?? 'absent'}`;
