import { AtollError, type JsonSchema, type Principal } from '@atoll/plugin-sdk/contract';
import type { PluginManifest } from '@atoll/registry';
import { Type } from 'typebox';
import type { JobDefinition, JobService, JobWork } from '../jobs/index.js';
import { PRIORITIES } from '../jobs/priority.js';
import type { PluginInstance } from '../plugins/instance.js';
import { parseGuestJson } from '../sandbox/host/guest-json.js';
import { compileGuestSchema } from '../schema/index.js';
import { organisationOf } from '../storage/index.js';
import { newTraceparent } from '../telemetry/trace.js';
import { type SyscallRow, syscallRow } from './table.js';

const Name = Type.String({ pattern: '^[A-Za-z][\\w.-]{0,62}$' });
const Index = Type.Integer({ minimum: 0, maximum: 10_000 });
const Retries = Type.Optional(Type.Integer({ minimum: 0, maximum: 100 }));
const TimeoutMs = Type.Optional(Type.Integer({ minimum: 10, maximum: 21_600_000 }));
const MAX_DEFINITIONS = 100;
const YEAR_MS = 31_536_000_000;
const DEFAULTS = { concurrency: 1, retries: 3, timeoutMs: 60_000 };

/** `jobs` and `schedule`: each version of a plugin says how its jobs are done; what waits belongs to the plugin. */
export function jobRows(jobs: JobService): SyscallRow<PluginInstance>[] {
  const defined = new WeakMap<PluginInstance, Map<string, JobDefinition>>();
  const define = async (plugin: PluginInstance, index: number, definition: JobDefinition) => {
    const known = defined.get(plugin) ?? new Map<string, JobDefinition>();
    defined.set(plugin, known);
    const { name } = definition;
    if (known.has(name)) throw new AtollError('PLUGIN_CLASH', `The job "${name}" is defined twice.`);
    if (known.size >= MAX_DEFINITIONS)
      throw new AtollError('OVERLOADED', `A plugin may define ${MAX_DEFINITIONS} jobs and schedules.`);
    known.set(name, definition);
    await jobs.prepare(definition);
    let stop = () => {};
    plugin.addEffect({
      kind: definition.schedule ? 'schedule' : 'job',
      label: name,
      activate: () => {
        stop = jobs.work(definition, workOf(plugin, index, definition));
      },
      needs: ({ permissions }) => (definition.schedule ? permissions.schedule : permissions.jobs),
      undo: () => stop(),
    });
    return {};
  };
  return [
    syscallRow({
      name: 'jobs.define',
      input: Type.Object({
        index: Index,
        name: Name,
        input: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
        concurrency: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_024 })),
        retries: Retries,
        timeoutMs: TimeoutMs,
      }),
      denied: mayJobs,
      registers: true,
      effect: true,
      uses: () => ({ kind: 'jobs' }),
      handle: (plugin: PluginInstance, { index, input, ...given }) =>
        define(plugin, index, {
          ...DEFAULTS,
          ...given,
          plugin: plugin.id,
          ...(input && { input: compileGuestSchema(input as JsonSchema, { defaults: true }) }),
        }),
    }),
    syscallRow({
      name: 'schedule.cron',
      input: Type.Object({
        index: Index,
        name: Name,
        expression: Type.String({ minLength: 9, maxLength: 200 }),
        timeZone: Type.Optional(Type.String({ minLength: 1, maxLength: 60 })),
        retries: Retries,
        timeoutMs: TimeoutMs,
      }),
      denied: ({ permissions }: PluginManifest) =>
        permissions.schedule ? undefined : '`permissions.schedule` is not granted.',
      registers: true,
      effect: true,
      uses: () => ({ kind: 'schedule' }),
      handle: (plugin: PluginInstance, { index, expression, timeZone = 'UTC', ...given }) =>
        define(plugin, index, { ...DEFAULTS, ...given, plugin: plugin.id, schedule: { expression, timeZone } }),
    }),
    syscallRow({
      name: 'jobs.send',
      input: Type.Object({
        name: Name,
        data: Type.Unknown(),
        priority: Type.Optional(Type.Union(PRIORITIES.map((priority) => Type.Literal(priority)))),
        delayMs: Type.Optional(Type.Integer({ minimum: 0, maximum: YEAR_MS })),
        key: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
        retries: Retries,
      }),
      denied: mayJobs,
      uses: () => ({ kind: 'jobs' }),
      handle: async (plugin: PluginInstance, { name, ...request }, syscall) => {
        const definition = defined.get(plugin)?.get(name);
        if (!definition || definition.schedule)
          throw new AtollError('NOT_FOUND', `The plugin has not defined a job "${name}".`);
        return { value: await jobs.send(definition, { ...request, org: organisationOf(syscall.principal) }) };
      },
    }),
    syscallRow({
      name: 'jobs.progress',
      input: Type.Object({
        id: Type.String({ maxLength: 40 }),
        attempt: Type.Integer({ minimum: 1 }),
        fraction: Type.Number({ minimum: 0, maximum: 1 }),
      }),
      denied: ({ permissions }: PluginManifest) =>
        permissions.jobs || permissions.schedule ? undefined : 'Neither `permissions.jobs` nor `schedule` is granted.',
      handle: (plugin: PluginInstance, { id, attempt, fraction }) => {
        jobs.progress(plugin.id, id, attempt, fraction);
        return {};
      },
    }),
  ];
}

const mayJobs = ({ permissions }: PluginManifest): string | undefined =>
  permissions.jobs ? undefined : '`permissions.jobs` is not granted.';

/** A job acts for the organisation that it was sent from. */
function workOf(plugin: PluginInstance, index: number, { timeoutMs }: JobDefinition): JobWork {
  return {
    live: () => plugin.live,
    run: async ({ id, attempt, data: { org, data } }, signal) => {
      await plugin.resumed();
      if (!plugin.live) throw new AtollError('PLUGIN_NOT_ACTIVE', 'Another version has taken over.');
      const principal: Principal = { kind: 'plugin', id: plugin.id, roles: [], organisation: org };
      const reply = await plugin.call({
        meta: { m: 'job', i: index, j: id, n: attempt + 1 },
        body: JSON.stringify(data),
        timeoutMs,
        traceparent: newTraceparent(),
        principal,
        signal,
      });
      return reply.body === undefined ? null : parseResult(reply.body);
    },
  };
}

/** What the guest answers may be anything. */
function parseResult(body: Buffer): unknown {
  try {
    return parseGuestJson(body);
  } catch (error) {
    throw new AtollError('PLUGIN_BAD_RESPONSE', `The result of the job can't be kept. ${(error as Error).message}`);
  }
}
