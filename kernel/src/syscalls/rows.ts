import { AtollError } from '@atoll/plugin-sdk/contract';
import type { PluginManifest } from '@atoll/registry';
import { type Static, Type } from 'typebox';
import { HOME } from '../auth/index.js';
import type { CacheService } from '../cache/index.js';
import { type EventBus, patternProblem } from '../events/index.js';
import type { JobService } from '../jobs/index.js';
import { isGranted, type PluginFetch, type SecretSource } from '../net/index.js';
import type { PluginInstance } from '../plugins/instance.js';
import type { ServiceRegistry } from '../plugins/service-registry.js';
import type { StorageService } from '../storage/index.js';
import { cacheRows } from './cache-rows.js';
import { jobRows } from './job-rows.js';
import { storageRows } from './storage-rows.js';
import { type SyscallRow, syscallRow } from './table.js';
import { topicGranted } from './topic-permission.js';

const AccessName = Type.Optional(Type.String({ minLength: 1, maxLength: 100 }));
const Index = Type.Integer({ minimum: 0, maximum: 10_000 });
const Schema = Type.Optional(Type.Record(Type.String(), Type.Unknown()));
const TimeoutMs = Type.Optional(Type.Integer({ minimum: 1, maximum: 3_600_000 }));
const Topic = Type.String({ minLength: 1, maxLength: 200 });
const ServiceName = Type.String({ minLength: 1, maxLength: 100 });

export interface RowDeps {
  events: EventBus;
  net: PluginFetch;
  secrets: SecretSource;
  services: ServiceRegistry;
  storage: StorageService;
  jobs: JobService;
  cache: CacheService;
}

/** The syscall table's rows, by capability. Default is deny: what is not listed, or not permitted, is refused. */
export function createRows(deps: RowDeps): SyscallRow<PluginInstance>[] {
  return [
    ...registrationRows(deps),
    ...eventRows(deps),
    ...serviceRows(deps),
    netRow(deps),
    secretRow(deps),
    ...storageRows(deps.storage),
    ...jobRows(deps.jobs),
    ...cacheRows(deps.cache).map((row) => ({ ...row, uses: () => ({ kind: 'cache' }) })),
  ];
}

const Route = Type.Object({
  method: Type.Union(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].map((method) => Type.Literal(method))),
  path: Type.String({ minLength: 1, maxLength: 500 }),
  schemas: Type.Optional(
    Type.Object({ params: Schema, query: Schema, headers: Schema, body: Schema, response: Schema }),
  ),
  maxBodyBytes: Type.Optional(Type.Integer({ minimum: 0, maximum: 16_777_216 })),
  timeoutMs: TimeoutMs,
  summary: Type.Optional(Type.String({ maxLength: 500 })),
  description: Type.Optional(Type.String({ maxLength: 10_000 })),
  tags: Type.Optional(Type.Array(Type.String({ maxLength: 100 }), { maxItems: 20 })),
  permission: AccessName,
});

function registrationRows({ events }: RowDeps): SyscallRow<PluginInstance>[] {
  return [
    syscallRow({
      name: 'http.route',
      effect: true,
      input: Type.Object({ index: Index, registration: Route }),
      denied: (manifest, { registration }) =>
        manifest.mounts.length > 0
          ? undeclared(manifest, registration)
          : 'The manifest has no `mounts`, so the plugin can have no routes.',
      handle: (plugin: PluginInstance, { index, registration }) => {
        plugin.registerRoute(index, registration as Parameters<PluginInstance['registerRoute']>[1]);
        return {};
      },
    }),
    syscallRow({
      name: 'ws.channel',
      effect: true,
      input: Type.Object({
        index: Index,
        registration: Type.Object({
          name: Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,99}$' }),
          input: Schema,
          permission: AccessName,
        }),
      }),
      denied: (manifest, { registration }) => undeclared(manifest, registration),
      handle: (plugin: PluginInstance, { index, registration }) => {
        plugin.registerChannel(index, registration);
        return {};
      },
    }),
    syscallRow({
      name: 'events.subscribe',
      input: Type.Object({ index: Index, topic: Topic }),
      registers: true,
      effect: true,
      uses: ({ topic }) => ({ kind: 'events.subscribe', value: topic }),
      denied: ({ permissions }, { topic }) =>
        topicGranted(topic, permissions.events?.subscribe)
          ? undefined
          : `"${topic}" is not in \`permissions.events.subscribe\`.`,
      handle: (plugin: PluginInstance, { index, topic }) => {
        const problem = patternProblem(topic);
        if (problem) throw new AtollError('VALIDATION_FAILED', `"${topic}" is no topic pattern: ${problem}.`);
        plugin.registerListener(index, topic, events);
        return {};
      },
    }),
  ];
}

/** A permission that nobody could be given would lock everybody out. */
function undeclared({ access }: PluginManifest, { permission }: { permission?: string }): string | undefined {
  if (permission === undefined || Object.hasOwn(access, permission)) return undefined;
  return `The manifest does not list "${permission}" under \`access\`.`;
}

function eventRows({ events }: RowDeps): SyscallRow<PluginInstance>[] {
  return [
    syscallRow({
      name: 'events.publish',
      input: Type.Object({ topic: Topic, data: Type.Unknown() }),
      uses: ({ topic }) => ({ kind: 'events.publish', value: topic }),
      denied: ({ permissions }, { topic }) => {
        if (topic.includes('*')) return 'An event needs a topic without wildcards.';
        return topicGranted(topic, permissions.events?.publish)
          ? undefined
          : `"${topic}" is not in \`permissions.events.publish\`.`;
      },
      handle: (plugin: PluginInstance, { topic, data }, syscall) => {
        const { organisation = HOME } = syscall.principal;
        const source = `/plugins/${plugin.id}`;
        const onTaken = plugin.holdEvent(syscall.body?.length ?? 0);
        try {
          events.emit(topic, data, { source, traceparent: syscall.traceparent, organisation, onTaken });
        } catch (error) {
          onTaken();
          throw error;
        }
        return {};
      },
    }),
  ];
}

function serviceRows({ services }: RowDeps): SyscallRow<PluginInstance>[] {
  const Method = Type.Object({
    input: Schema,
    output: Schema,
    stream: Type.Optional(Type.Boolean()),
    chunk: Schema,
    timeoutMs: TimeoutMs,
  });
  return [
    syscallRow({
      name: 'services.provide',
      effect: true,
      input: Type.Object({
        index: Index,
        registration: Type.Object({
          name: ServiceName,
          version: Type.String({ maxLength: 50 }),
          methods: Type.Record(Type.String(), Method),
        }),
      }),
      denied: ({ provides }, { registration: { name, version } }) => {
        if (!Object.hasOwn(provides, name)) return `The manifest does not list "${name}" under \`provides\`.`;
        return provides[name] === version
          ? undefined
          : `The manifest provides "${name}" ${provides[name]}, the code ${version}.`;
      },
      handle: (plugin: PluginInstance, { index, registration }) => {
        services.register(plugin, index, registration);
        return {};
      },
    }),
    syscallRow({
      name: 'services.providers',
      input: Type.Object({ name: ServiceName }),
      uses: ({ name }) => ({ kind: 'services', value: name }),
      denied: (manifest, { name }) =>
        Object.hasOwn(manifest.consumes, name) ? undefined : `The manifest does not list "${name}" under \`consumes\`.`,
      handle: (plugin: PluginInstance, { name }) => ({ value: services.providersFor(plugin.manifest, name) }),
    }),
    syscallRow({
      name: 'services.call',
      input: Type.Object({
        service: ServiceName,
        provider: Type.Optional(Type.String()),
        method: Type.String({ maxLength: 100 }),
        input: Type.Optional(Type.Unknown()),
      }),
      uses: ({ service }) => ({ kind: 'services', value: service }),
      denied: (manifest, { service }) =>
        Object.hasOwn(manifest.consumes, service)
          ? undefined
          : `The manifest does not list "${service}" under \`consumes\`.`,
      handle: (plugin: PluginInstance, request, syscall) => services.call(plugin.manifest, request, syscall),
    }),
  ];
}

const FetchHead = Type.Object({
  url: Type.String({ maxLength: 65_536 }),
  method: Type.String({ maxLength: 40 }),
  headers: Type.Array(Type.Tuple([Type.String(), Type.String()]), { maxItems: 500 }),
  redirect: Type.Union([Type.Literal('follow'), Type.Literal('error'), Type.Literal('manual')]),
});

function netRow({ net }: RowDeps): SyscallRow<PluginInstance> {
  return syscallRow({
    name: 'net.fetch',
    input: FetchHead,
    inputFrom: 'head',
    handle: async (plugin: PluginInstance, head, syscall) => {
      const body = syscall.request ?? syscall.body;
      const { permits } = plugin;
      const reply = await net
        .fetch({
          plugin: plugin.id,
          grants: permits.grants,
          secretNames: permits.granted.permissions.secrets,
          onUse: (url) => permits.used({ kind: 'net', value: url.origin }),
          head: { ...head, redirect: head.redirect as 'follow' | 'error' | 'manual' },
          ...(body && { body }),
          signal: syscall.signal,
        })
        .catch((error: unknown) => {
          tellRefusal(plugin, head, error);
          throw error;
        });
      for (const name of secretsIn(head.headers)) permits.used({ kind: 'secrets', value: name });
      return { head: reply.head, ...(reply.body && { stream: reply.body }) };
    },
  });
}

/** Which secrets the headers name. */
const secretsIn = (headers: readonly (readonly [string, string])[]): string[] => [
  ...new Set(headers.flatMap(([, value]) => [...value.matchAll(/\{\{secret:([^{}]*)\}\}/g)].map(([, name]) => name!))),
];

const REFUSALS = new Set(['NET_DENIED', 'NET_ADDRESS_BLOCKED', 'SECRET_DENIED']);

function tellRefusal({ permits }: PluginInstance, { url, headers }: Static<typeof FetchHead>, error: unknown): void {
  if (!(error instanceof AtollError) || !REFUSALS.has(error.code)) return;
  const ofSecret = error.code === 'SECRET_DENIED';
  const value = ofSecret ? secretsIn(headers).join(' ') : URL.canParse(url) ? new URL(url).origin : '';
  permits.refused({ kind: ofSecret ? 'secrets' : 'net', value }, error.code);
}

function secretRow({ secrets }: RowDeps): SyscallRow<PluginInstance> {
  return syscallRow({
    name: 'secrets.has',
    input: Type.Object({ name: Type.String({ maxLength: 200 }) }),
    uses: ({ name }) => ({ kind: 'secrets', value: name }),
    denied: ({ permissions }, { name }) =>
      (permissions.secrets ?? []).includes(name) ? undefined : `"${name}" is not in \`permissions.secrets\`.`,
    handle: async (plugin: PluginInstance, { name }) => {
      await secrets.fresh?.();
      const secret = secrets.get(name);
      return { value: secret !== undefined && isGranted(secret, plugin.id) };
    },
  });
}
