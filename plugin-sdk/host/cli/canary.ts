import type { Command } from 'commander';
import { change, request } from './client.js';
import type { Run } from './command.js';
import { CliError, EXIT } from './errors.js';
import { table } from './output.js';
import { pluginAt } from './server-paths.js';

interface Figures {
  version: string;
  calls: number;
  errorRate: number;
  p50Ms: number | null;
  p95Ms: number | null;
  heapBytes?: number;
  cpuMs?: number;
}

/** A version that is tried beside the running one. */
export interface CanaryView {
  id: string;
  to: string;
  state: string;
  reason?: string;
  running: Figures;
  candidate: Figures;
}

export interface CanaryFlags {
  canary?: string;
  canaryHeader?: string;
  canaryUser?: string[];
  canaryOrganisation?: string[];
  canaryRule?: string[];
}

const collect = (text: string, before: string[] = []): string[] => [...before, text];

export const withCanary = (command: Command): Command =>
  command
    .option('--canary <share>', 'try it beside the running version with a part of all callers, such as 10%')
    .option('--canary-header <name=value>', 'try it with HTTP requests that have this header')
    .option('--canary-user <id>', 'try it with this user (repeat for more)', collect)
    .option('--canary-organisation <id>', 'try it with this organisation (repeat for more)', collect)
    .option('--canary-rule <name=value>', 'when it is promoted or rolled back: minCalls, errorMargin, …', collect);

/** The request's `canary`; undefined when no flag asks for one. */
export function toCanary({
  canary,
  canaryHeader,
  canaryUser: users,
  canaryOrganisation: organisations,
  canaryRule,
}: CanaryFlags): object | undefined {
  const target = {
    ...(canary !== undefined && { share: toShare(canary) }),
    ...(canaryHeader !== undefined && { header: toHeader(canaryHeader) }),
    ...(users && { users }),
    ...(organisations && { organisations }),
  };
  if (Object.keys(target).length > 0) return { ...target, ...(canaryRule && { rule: toRule(canaryRule) }) };
  if (!canaryRule) return undefined;
  throw new CliError('--canary-rule needs --canary, or another flag that says for whom.', EXIT.USAGE);
}

function toShare(text: string): number {
  const share = text.endsWith('%') ? Number(text.slice(0, -1)) / 100 : Number(text);
  if (text.trim() !== '' && share > 0 && share <= 1) return share;
  throw new CliError(`"${text}" is no share.`, EXIT.USAGE, { hint: 'Write 10% or 0.1.' });
}

function toHeader(text: string): object {
  const [name = '', value] = text.split(/=(.*)/s, 2);
  return { name, ...(value !== undefined && { value }) };
}

function toRule(texts: readonly string[]): object {
  return Object.fromEntries(
    texts.map((text) => {
      const [name = '', value = ''] = text.split('=', 2);
      const number = value === 'null' ? null : Number(value);
      if (name !== '' && value !== '' && !Number.isNaN(number)) return [name, number];
      throw new CliError(`"${text}" is no rule.`, EXIT.USAGE, { hint: 'Write minCalls=50 or promoteAfterMs=null.' });
    }),
  );
}

/** `atoll plugins canary`. */
export function canaryCommand(plugins: Command, run: Run): void {
  plugins
    .command('canary <id>')
    .description('the canary of a plugin beside its running version, or how the latest one ended')
    .option('--promote', 'put it in the place of the running version')
    .option('--abort', 'end it')
    .action((id: string, { promote, abort }: { promote?: boolean; abort?: boolean }) =>
      run(async (out, server) => {
        if (promote && abort) throw new CliError('Either --promote or --abort.', EXIT.USAGE);
        const target = `${pluginAt(id)}/canary`;
        const view = await (promote || abort
          ? change<CanaryView>(server, 'POST', `${target}/${promote ? 'promote' : 'abort'}`, {})
          : request<CanaryView>(server, 'GET', target));
        out.result(view, canaryText(view));
      }),
    );
}

export function canaryText({ id, to, state, reason, running, candidate }: CanaryView): string {
  const rows = [running, candidate].map(({ version, calls, errorRate, p50Ms, p95Ms, heapBytes, cpuMs }) => [
    version,
    String(calls),
    `${Math.round(errorRate * 1000) / 10} %`,
    p50Ms === null ? '' : `${p50Ms} ms`,
    p95Ms === null ? '' : `${p95Ms} ms`,
    heapBytes === undefined ? '' : `${Math.round(heapBytes / 104_857.6) / 10} MB`,
    cpuMs === undefined ? '' : `${Math.round(cpuMs)} ms`,
  ]);
  const hint = state === 'running' ? `\n\`atoll plugins canary ${id}\` shows how it goes on.` : '';
  return `The canary ${id}@${to} is ${state}${reason === undefined ? '.' : `: ${reason}`}\n${table(
    ['version', 'calls', 'errors', 'p50', 'p95', 'heap', 'cpu'],
    rows,
  )}${hint}`;
}
