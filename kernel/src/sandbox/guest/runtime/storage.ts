import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Register } from './capabilities.js';
import { ask, syscall } from './outbound.js';
import { toByteStream } from './streams.js';

interface Declaration {
  schema?: object;
  indexes?: object;
}
type Fields = Record<string, unknown>;

/** How often a transaction is done again when others have changed what it read. */
const TRIES = 5;

/** The documents of a collection; within a transaction when there is one. */
function documents(collection: string, tx?: string) {
  const call = <T>(method: string, input: object) => ask<T>(`storage.${method}`, { collection, tx, ...input });
  return {
    insert: async (document: object) => (await call<Fields[]>('insert', { documents: [document] }))[0],
    insertMany: async (all: object[]) => (all.length === 0 ? [] : call('insert', { documents: all })),
    get: (id: string) => call('get', { id }),
    find: (query: object = {}) => call('find', query),
    update: (id: string, patch: Fields, { version }: { version?: number } = {}) =>
      call('update', { id, version, ...split(patch) }),
    delete: (id: string, { version }: { version?: number } = {}) => call('delete', { id, version }),
  };
}

/** JSON has no `undefined`: fields with that value are to be removed. */
function split(patch: Fields) {
  const unset = Object.keys(patch).filter((name) => patch[name] === undefined);
  return { set: patch, unset };
}

const nameOf = (collection: string | { name: string }) =>
  typeof collection === 'string' ? collection : collection.name;

/** The `storage` capability. */
export function createStorage(register: Register) {
  return {
    collection(name: string, { schema, indexes }: Declaration = {}) {
      register('storage.collection', { name, schema, indexes });
      return {
        name,
        ...documents(name),
        count: (where?: object) => ask<number>('storage.count', { collection: name, where }),
        search: (query: object) => ask('storage.search', { collection: name, ...query }),
      };
    },
    transaction,
    blobs: {
      put: putBlob,
      get: getBlob,
      info: blobInfo,
      delete: (sha256: string) => ask<boolean>('storage.blobs.delete', { sha256 }),
    },
  };
}

async function transaction<T>(work: (tx: object) => T | Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const tx = await ask<string>('storage.begin', {});
    try {
      const result = await work({ collection: (of: string | { name: string }) => documents(nameOf(of), tx) });
      await ask('storage.end', { tx, commit: true });
      return result;
    } catch (error) {
      const { code, extras } = error as AtollError;
      const again = code === 'CONFLICT' && extras?.retry === true && attempt < TRIES;
      await ask('storage.end', { tx, commit: false }).catch(() => {});
      if (!again) throw error;
      // Those that got into each other's way should not do so again.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 10 * 2 ** attempt));
    }
  }
}

type BlobContent = string | ArrayBuffer | ArrayBufferView | Blob | ReadableStream<Uint8Array>;

async function putBlob(content: BlobContent, { type }: { type?: string } = {}) {
  const body = await bodyOf(content);
  const head = { type: type ?? (content instanceof Blob ? content.type : '') };
  const answer = await syscall('storage.blobs.put', { head, body });
  return JSON.parse(answer.body as string) as object;
}

async function bodyOf(content: BlobContent): Promise<Uint8Array | ReadableStream<Uint8Array>> {
  if (typeof content === 'string') return new TextEncoder().encode(content);
  if (content instanceof ReadableStream) return content;
  if (content instanceof Blob) return content.stream();
  if (ArrayBuffer.isView(content)) return new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
  if (content instanceof ArrayBuffer) return new Uint8Array(content);
  throw new TypeError('A blob is text, bytes, a Blob or a ReadableStream.');
}

async function getBlob(sha256: string) {
  const answer = await syscall('storage.blobs.get', { body: JSON.stringify({ sha256 }) });
  if (!answer.stream) return undefined;
  const info = JSON.parse(answer.meta) as object;
  const stream = toByteStream(answer.stream);
  const whole = () => new Response(stream as BodyInit);
  return {
    ...info,
    stream,
    bytes: async () => new Uint8Array(await whole().arrayBuffer()),
    text: () => whole().text(),
  };
}

const blobInfo = (sha256: string) => ask<object | undefined>('storage.blobs.info', { sha256 });
