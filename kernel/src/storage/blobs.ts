import { createHash, randomUUID } from 'node:crypto';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Database } from '../database/index.js';
import type { Quota } from './quota.js';

export interface BlobInfo {
  sha256: string;
  size: number;
  type: string;
}

const CHUNK = 262_144;

/** Binaries of one plugin, by the hash of their content: the same content is stored once per organisation. */
export class Blobs {
  constructor(
    private readonly plugin: string,
    private readonly database: Database,
    private readonly quota: Quota,
  ) {}

  /** Stores a stream as it comes. When it breaks off, or there is no room, nothing of it stays. */
  async put(org: string, source: AsyncIterable<Uint8Array>, type: string): Promise<BlobInfo> {
    const upload = randomUUID();
    const written = { size: 0 };
    try {
      const sha256 = await this.#write(upload, source, written);
      const info = { sha256, size: written.size, type };
      await this.quota.reserve(1, 0);
      const rows = await this.database.query(
        `insert into storage_blob (plugin, org, sha256, upload, size, type) values ($1, $2, $3, $4, $5, $6)
         on conflict (plugin, org, sha256) do nothing returning sha256`,
        [this.plugin, org, sha256, upload, written.size, type],
      );
      if (rows.length > 0) return info;
      this.quota.release(1, 0);
      await this.#discard(upload, written.size);
      return (await this.info(org, sha256)) ?? info;
    } catch (error) {
      await this.#discard(upload, written.size);
      throw error;
    }
  }

  async info(org: string, sha256: string): Promise<BlobInfo | undefined> {
    const found = await this.#find(org, sha256);
    return found && { sha256, size: Number(found.size), type: found.type };
  }

  /** The content as a stream; undefined when there is none. */
  async get(org: string, sha256: string): Promise<{ info: BlobInfo; content: AsyncIterable<Buffer> } | undefined> {
    const found = await this.#find(org, sha256);
    if (!found) return undefined;
    return {
      info: { sha256, size: Number(found.size), type: found.type },
      content: this.#read(found.upload, Number(found.size)),
    };
  }

  async delete(org: string, sha256: string): Promise<boolean> {
    const rows = await this.database.query<{ upload: string; size: string }>(
      'delete from storage_blob where plugin = $1 and org = $2 and sha256 = $3 returning upload, size',
      [this.plugin, org, sha256],
    );
    if (!rows[0]) return false;
    this.quota.release(1, 0);
    await this.#discard(rows[0].upload, Number(rows[0].size));
    return true;
  }

  async #find(org: string, sha256: string): Promise<{ upload: string; size: string; type: string } | undefined> {
    const rows = await this.database.query<{ upload: string; size: string; type: string }>(
      'select upload, size, type from storage_blob where plugin = $1 and org = $2 and sha256 = $3',
      [this.plugin, org, sha256],
    );
    return rows[0];
  }

  async #write(upload: string, source: AsyncIterable<Uint8Array>, written: { size: number }): Promise<string> {
    const hash = createHash('sha256');
    let at = 0;
    for await (const chunk of inChunks(source)) {
      hash.update(chunk);
      await this.quota.reserve(0, chunk.length);
      written.size += chunk.length;
      await this.database.query('insert into storage_blob_chunk (upload, at, bytes) values ($1, $2, $3)', [
        upload,
        at++,
        chunk,
      ]);
    }
    return hash.digest('hex');
  }

  async *#read(upload: string, size: number): AsyncGenerator<Buffer> {
    let read = 0;
    for (let at = 0; read < size; at++) {
      const rows = await this.database.query<{ bytes: Buffer }>(
        'select bytes from storage_blob_chunk where upload = $1 and at = $2',
        [upload, at],
      );
      if (!rows[0]) throw new AtollError('NOT_FOUND', 'The blob was deleted while it was read.');
      read += rows[0].bytes.length;
      yield rows[0].bytes;
    }
  }

  async #discard(upload: string, size: number): Promise<void> {
    this.quota.release(0, size);
    await this.database.query('delete from storage_blob_chunk where upload = $1', [upload]);
  }
}

/** What uploads that were cut off by the end of the process have left. */
export async function sweepUploads(database: Database): Promise<void> {
  await database.query(
    `delete from storage_blob_chunk as c where created_at < now() - interval '1 day'
       and not exists (select 1 from storage_blob as b where b.upload = c.upload)`,
  );
}

/** The same bytes in pieces of one size, the last one smaller. */
async function* inChunks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (let piece of source) {
    while (size + piece.length >= CHUNK) {
      const taken = CHUNK - size;
      yield Buffer.concat([...parts, piece.subarray(0, taken)]);
      piece = piece.subarray(taken);
      parts = [];
      size = 0;
    }
    if (piece.length === 0) continue;
    parts.push(piece);
    size += piece.length;
  }
  if (size > 0) yield Buffer.concat(parts);
}
