import type { PluginManifest } from '@atoll/registry';
import { Type } from 'typebox';
import type { PluginInstance } from '../plugins/instance.js';
import type { Syscall, SyscallReply } from '../sandbox/host/syscall.js';
import type { Collection, FindRequest, Patch, Row } from '../storage/collection.js';
import { checkId, toText } from '../storage/document.js';
import { organisationOf, type PluginStorage, type StorageService } from '../storage/index.js';
import { search } from '../storage/search.js';
import { IndexDeclaration } from '../storage/spec.js';
import { type SyscallRow, syscallRow } from './table.js';

const Name = Type.String({ pattern: '^[A-Za-z][\\w-]{0,62}$' });
const Id = Type.String({ minLength: 1, maxLength: 200 });
const Version = Type.Optional(Type.Integer({ minimum: 1 }));
const Transaction = Type.Optional(Type.String({ maxLength: 40 }));
const Limit = Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 }));
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });
const MAX_BATCH = 1_000;

/** A collection, and the transaction that the call is part of. */
const target = { collection: Name, tx: Transaction };

/** `storage`: each row works in the plugin's own namespace and for the organisation of the call that it is made for. */
export function storageRows(storage: StorageService): SyscallRow<PluginInstance>[] {
  const opened = new WeakMap<PluginInstance, PluginStorage>();
  const of = (plugin: PluginInstance): PluginStorage => {
    const known = opened.get(plugin);
    if (known) return known;
    const made = storage.open(plugin.id);
    opened.set(plugin, made);
    return made;
  };
  const rows = [
    ...declarationRows(of),
    ...insertAndGetRows(of),
    ...[...changeRows(of), ...queryRows(of, storage), ...transactionRows(of)].map((row) => inTurn(of, row)),
    ...blobRows(of),
  ];
  return rows.map((row) => ({ ...row, uses: () => ({ kind: 'storage' }) }));
}

/** Blobs are not among these: they wait for the plugin's own streams. */
function inTurn(of: Of, row: SyscallRow<PluginInstance>): SyscallRow<PluginInstance> {
  const handle: typeof row.handle = (plugin, input, syscall) =>
    of(plugin).turnstile.run(() => row.handle(plugin, input, syscall), syscall.signal);
  return { ...row, handle };
}

type Of = (plugin: PluginInstance) => PluginStorage;

function denied({ permissions }: PluginManifest): string | undefined {
  return permissions.storage ? undefined : '`permissions.storage` is not granted.';
}

const orgOf = (syscall: Syscall): string => organisationOf(syscall.principal);
const listOf = (texts: readonly string[]): string => `[${texts.join(',')}]`;

function declarationRows(of: Of): SyscallRow<PluginInstance>[] {
  return [
    syscallRow({
      name: 'storage.collection',
      input: Type.Object({
        name: Name,
        schema: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
        indexes: Type.Optional(
          Type.Record(
            Type.String({ maxLength: 200 }),
            Type.Union([IndexDeclaration, Type.Array(IndexDeclaration, { maxItems: 6 })]),
          ),
        ),
      }),
      denied,
      registers: true,
      handle: async (plugin: PluginInstance, declaration) => {
        await of(plugin).declare(declaration);
        return {};
      },
    }),
  ];
}

/** A single one shares a statement with others, and it is that which takes a place at the turnstile; the rest take one of their own. */
function insertAndGetRows(of: Of): SyscallRow<PluginInstance>[] {
  return [
    syscallRow({
      name: 'storage.insert',
      input: Type.Object({ ...target, documents: Type.Array(Type.Unknown(), { minItems: 1, maxItems: MAX_BATCH }) }),
      denied,
      handle: async (plugin: PluginInstance, { collection: name, tx, documents }, syscall) => {
        const own = of(plugin);
        const org = orgOf(syscall);
        const collection = own.collection(name);
        const prepared = documents.map((document) => collection.prepare(document));
        const write = () =>
          tx === undefined ? collection.insert(org, prepared) : own.transaction(tx, org).insert(collection, prepared);
        if (tx === undefined && prepared.length === 1) await collection.insertTogether(org, prepared[0]!);
        else await own.turnstile.run(write, syscall.signal);
        return { json: listOf(prepared.map(({ id, json }) => toText({ id, version: 1, doc: json }))) };
      },
    }),
    syscallRow({
      name: 'storage.get',
      input: Type.Object({ ...target, id: Id }),
      denied,
      handle: async (plugin: PluginInstance, { collection: name, tx, id }, syscall) => {
        const own = of(plugin);
        const org = orgOf(syscall);
        const collection = own.collection(name);
        checkId(id);
        const row = await (tx === undefined
          ? collection.getTogether(org, id)
          : own.turnstile.run(() => own.transaction(tx, org).get(collection, id), syscall.signal));
        return row ? { json: toText(row) } : {};
      },
    }),
  ];
}

function changeRows(of: Of): SyscallRow<PluginInstance>[] {
  return [
    syscallRow({
      name: 'storage.update',
      input: Type.Object({
        ...target,
        id: Id,
        set: Type.Record(Type.String(), Type.Unknown()),
        unset: Type.Array(Type.String({ maxLength: 200 }), { maxItems: 1_000 }),
        version: Version,
      }),
      denied,
      handle: async (plugin: PluginInstance, { collection: name, tx, id, version, ...patch }, syscall) => {
        const collection = of(plugin).collection(name);
        const row = await (tx === undefined
          ? collection.update(orgOf(syscall), checkId(id), patch as Patch, version)
          : of(plugin)
              .transaction(tx, orgOf(syscall))
              .update(collection, checkId(id), patch as Patch, version));
        return { json: toText(row) };
      },
    }),
    syscallRow({
      name: 'storage.delete',
      input: Type.Object({ ...target, id: Id, version: Version }),
      denied,
      handle: async (plugin: PluginInstance, { collection: name, tx, id, version }, syscall) => {
        const collection = of(plugin).collection(name);
        return {
          value: await (tx === undefined
            ? collection.delete(orgOf(syscall), checkId(id), version)
            : of(plugin).transaction(tx, orgOf(syscall)).delete(collection, checkId(id), version)),
        };
      },
    }),
  ];
}

function queryRows(of: Of, storage: StorageService): SyscallRow<PluginInstance>[] {
  const where = Type.Optional(Type.Unknown());
  return [
    syscallRow({
      name: 'storage.find',
      input: Type.Object({
        ...target,
        where,
        orderBy: Type.Optional(Type.Unknown()),
        limit: Limit,
        cursor: Type.Optional(Type.String({ maxLength: 10_000 })),
      }),
      denied,
      handle: async (plugin: PluginInstance, { collection: name, tx, ...request }, syscall) => {
        const collection = of(plugin).collection(name);
        return pageOf(await findIn(of(plugin), collection, tx, request, syscall));
      },
    }),
    syscallRow({
      name: 'storage.count',
      input: Type.Object({ collection: Name, where }),
      denied,
      handle: async (plugin: PluginInstance, { collection, where }, syscall) => ({
        value: await of(plugin).collection(collection).count(orgOf(syscall), where),
      }),
    }),
    syscallRow({
      name: 'storage.search',
      input: Type.Object({
        collection: Name,
        text: Type.Optional(Type.String({ maxLength: 10_000 })),
        vector: Type.Optional(
          Type.Union([
            Type.Array(Type.Number()),
            Type.Object({ field: Type.String(), value: Type.Array(Type.Number()) }),
          ]),
        ),
        where,
        k: Limit,
      }),
      denied,
      handle: async (plugin: PluginInstance, { collection, ...request }, syscall) => {
        const hits = await search(storage.database, of(plugin).collection(collection), orgOf(syscall), request);
        return {
          json: `{"items":${listOf(hits.map(({ row, score }) => `{"score":${score},"document":${toText(row)}}`))}}`,
        };
      },
    }),
  ];
}

function findIn(
  own: PluginStorage,
  collection: Collection,
  tx: string | undefined,
  request: FindRequest,
  syscall: Syscall,
) {
  const org = orgOf(syscall);
  return tx === undefined ? collection.find(org, request) : own.transaction(tx, org).find(collection, request);
}

function pageOf({ rows, nextCursor }: { rows: Row[]; nextCursor?: string }): SyscallReply {
  const next = nextCursor === undefined ? '' : `,"nextCursor":${JSON.stringify(nextCursor)}`;
  return { json: `{"items":${listOf(rows.map(toText))}${next}}` };
}

function transactionRows(of: Of): SyscallRow<PluginInstance>[] {
  const tx = Type.String({ maxLength: 40 });
  return [
    syscallRow({
      name: 'storage.begin',
      input: Type.Object({}),
      denied,
      handle: (plugin: PluginInstance, _, syscall) => ({ value: of(plugin).begin(orgOf(syscall), syscall.deadline) }),
    }),
    syscallRow({
      name: 'storage.end',
      input: Type.Object({ tx, commit: Type.Boolean() }),
      denied,
      handle: async (plugin: PluginInstance, { tx, commit }, syscall) => {
        await of(plugin).end(tx, orgOf(syscall), commit);
        return {};
      },
    }),
  ];
}

function blobRows(of: Of): SyscallRow<PluginInstance>[] {
  return [
    syscallRow({
      name: 'storage.blobs.put',
      input: Type.Object({ type: Type.String({ maxLength: 200, pattern: '^[\\x20-\\x7e]*$' }) }),
      inputFrom: 'head',
      denied,
      handle: async (plugin: PluginInstance, { type }, syscall) => ({
        value: await of(plugin).blobs.put(orgOf(syscall), syscall.request ?? once(syscall.body), type),
      }),
    }),
    syscallRow({
      name: 'storage.blobs.get',
      input: Type.Object({ sha256: Sha256 }),
      denied,
      handle: async (plugin: PluginInstance, { sha256 }, syscall) => {
        const found = await of(plugin).blobs.get(orgOf(syscall), sha256);
        return found ? { head: found.info, stream: found.content } : {};
      },
    }),
    syscallRow({
      name: 'storage.blobs.info',
      input: Type.Object({ sha256: Sha256 }),
      denied,
      handle: async (plugin: PluginInstance, { sha256 }, syscall) => {
        const info = await of(plugin).blobs.info(orgOf(syscall), sha256);
        return info ? { value: info } : {};
      },
    }),
    syscallRow({
      name: 'storage.blobs.delete',
      input: Type.Object({ sha256: Sha256 }),
      denied,
      handle: async (plugin: PluginInstance, { sha256 }, syscall) => ({
        value: await of(plugin).blobs.delete(orgOf(syscall), sha256),
      }),
    }),
  ];
}

async function* once(body: Buffer | undefined): AsyncGenerator<Buffer> {
  if (body) yield body;
}
