import { AtollError, fromWireError } from '@atoll/plugin-sdk/contract';
import type { PluginManifest } from '@atoll/registry';
import { Type } from 'typebox';
import type { CacheEntry, CacheKey, CacheService } from '../cache/index.js';
import type { PluginInstance } from '../plugins/instance.js';
import type { Syscall, SyscallReply } from '../sandbox/host/syscall.js';
import { organisationOf } from '../storage/index.js';
import { type SyscallRow, syscallRow } from './table.js';

const Key = Type.String({ minLength: 1, maxLength: 1_000 });
const Tags = Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { maxItems: 20 });
const Lead = Type.String({ maxLength: 40 });
const MONTH_MS = 2_678_400_000;
const write = {
  ttl: Type.Optional(Type.Integer({ minimum: 1, maximum: MONTH_MS })),
  tags: Type.Optional(Tags),
};
const kinds = [Type.Literal('json'), Type.Literal('bytes')] as const;

/** `cache`: what a plugin keeps for a while, for the organisation of the call that it is made for. */
export function cacheRows(cache: CacheService): SyscallRow<PluginInstance>[] {
  return [...valueRows(cache), ...invalidationRows(cache), ...loadRows(cache)];
}

const denied = ({ permissions }: PluginManifest): string | undefined =>
  permissions.cache ? undefined : '`permissions.cache` is not granted.';

const spaceOf = (plugin: PluginInstance, { principal }: Syscall) => ({
  plugin: plugin.id,
  org: organisationOf(principal),
});
const at = (plugin: PluginInstance, syscall: Syscall, key: string): CacheKey => ({ ...spaceOf(plugin, syscall), key });
const none = Buffer.alloc(0);

function replyWith({ kind, data }: CacheEntry): SyscallReply {
  return { head: { kind }, ...(kind === 'json' ? { json: data } : { bytes: data }) };
}

function valueRows(cache: CacheService): SyscallRow<PluginInstance>[] {
  return [
    syscallRow({
      name: 'cache.get',
      input: Type.Object({ key: Key }),
      denied,
      handle: async (plugin: PluginInstance, { key }, syscall) => {
        const entry = await cache.get(at(plugin, syscall, key));
        return entry ? replyWith(entry) : {};
      },
    }),
    syscallRow({
      name: 'cache.set',
      input: Type.Object({ key: Key, kind: Type.Union([...kinds]), ...write }),
      inputFrom: 'head',
      denied,
      handle: async (plugin: PluginInstance, { key, kind, ttl, tags }, syscall) => {
        const entry = { kind, data: syscall.body ?? none };
        await cache.set(at(plugin, syscall, key), entry, optionsOf(ttl, tags));
        return {};
      },
    }),
    syscallRow({
      name: 'cache.delete',
      input: Type.Object({ key: Key }),
      denied,
      handle: async (plugin: PluginInstance, { key }, syscall) => ({
        value: await cache.delete(at(plugin, syscall, key)),
      }),
    }),
  ];
}

function invalidationRows(cache: CacheService): SyscallRow<PluginInstance>[] {
  return [
    syscallRow({
      name: 'cache.invalidate',
      input: Type.Object({ tags: Tags }),
      denied,
      handle: async (plugin: PluginInstance, { tags }, syscall) => {
        if (tags.length > 0) await cache.invalidate(spaceOf(plugin, syscall), tags);
        return {};
      },
    }),
    syscallRow({
      name: 'cache.clear',
      input: Type.Object({}),
      denied,
      handle: async (plugin: PluginInstance, _, syscall) => {
        await cache.clear(spaceOf(plugin, syscall));
        return {};
      },
    }),
  ];
}

/** The host says who loads a value; the plugin loads it, and tells. */
function loadRows(cache: CacheService): SyscallRow<PluginInstance>[] {
  return [
    syscallRow({
      name: 'cache.board',
      input: Type.Object({ key: Key, tags: Type.Optional(Tags) }),
      denied,
      handle: async (plugin: PluginInstance, { key, tags = [] }, syscall) => {
        const { isolate } = plugin;
        const loader = { deadline: syscall.deadline, alive: () => isolate !== undefined && !isolate.ended };
        const boarding = await cache.board(at(plugin, syscall, key), tags, loader, syscall.signal);
        if ('entry' in boarding) return replyWith(boarding.entry);
        if ('error' in boarding) throw fromWireError(boarding.error);
        if ('nothing' in boarding) return { head: { kind: 'none' } };
        // Who asked has left: it will never say how it went.
        if (syscall.settled) void cache.abandon(plugin.id, boarding.lead);
        return { head: { lead: boarding.lead } };
      },
    }),
    syscallRow({
      name: 'cache.finish',
      input: Type.Object({ lead: Lead, kind: Type.Union([...kinds, Type.Literal('none')]), ...write }),
      inputFrom: 'head',
      denied,
      handle: async (plugin: PluginInstance, { lead, kind, ttl, tags }, syscall) => {
        const entry = kind === 'none' ? undefined : { kind, data: syscall.body ?? none };
        await cache.finish(plugin.id, lead, entry, optionsOf(ttl, tags));
        return {};
      },
    }),
    syscallRow({
      name: 'cache.abandon',
      input: Type.Object({
        lead: Lead,
        error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String({ maxLength: 10_000 }) })),
      }),
      denied,
      handle: async (plugin: PluginInstance, { lead, error }) => {
        await cache.abandon(plugin.id, lead, error && known(error));
        return {};
      },
    }),
  ];
}

const optionsOf = (ttlMs: number | undefined, tags: string[] | undefined) => ({
  ...(ttlMs !== undefined && { ttlMs }),
  ...(tags && { tags }),
});

/** A guest may say anything. */
function known({ code, message }: { code: string; message: string }) {
  const error = fromWireError({ code: code as AtollError['code'], message });
  return { code: error.code, message };
}
