import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { hexOf, integrityOf } from '../package/integrity.js';
import { writeDurably } from './write-durably.js';

const SUFFIX = '.tgz';

/** Tarballs by the hash of their content. What is there is whole: it is checked whenever it is read. */
export class BlobStore {
  constructor(
    private readonly folder: string,
    private readonly drafts: string,
    /** Where damaged blobs go, for those who want to look at them. */
    private readonly damaged: string,
  ) {}

  async put(bytes: Uint8Array): Promise<void> {
    const integrity = integrityOf(bytes);
    if (!(await this.isWhole(integrity))) await writeDurably(this.#fileOf(integrity), bytes, this.drafts);
  }

  /** Throws PACKAGE_DAMAGED when the blob is missing or has other bytes; those are put aside. */
  async read(integrity: string): Promise<Buffer> {
    const file = this.#fileOf(integrity);
    const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
      const why = error.code === 'ENOENT' ? 'is missing in the store' : `can't be read: ${error.message}`;
      throw new AtollError(
        'PACKAGE_DAMAGED',
        `The package ${integrity.slice(0, 20)}… ${why}. Publish or fetch it again.`,
      );
    });
    if (integrityOf(bytes) === integrity) return bytes;
    await this.#putAside(file);
    throw new AtollError(
      'PACKAGE_DAMAGED',
      `The package ${integrity.slice(0, 20)}… is damaged in the store. Publish or fetch it again.`,
    );
  }

  /** Undefined when it is missing. */
  async sizeOf(integrity: string): Promise<number | undefined> {
    const info = await stat(this.#fileOf(integrity)).catch(() => undefined);
    return info?.isFile() ? info.size : undefined;
  }

  async isWhole(integrity: string): Promise<boolean> {
    const bytes = await readFile(this.#fileOf(integrity)).catch(() => undefined);
    return bytes !== undefined && integrityOf(bytes) === integrity;
  }

  /** Puts a blob aside unless it is whole by now. */
  async putAsideDamaged(integrity: string): Promise<void> {
    if (!(await this.isWhole(integrity))) await this.#putAside(this.#fileOf(integrity));
  }

  async delete(integrity: string): Promise<void> {
    await rm(this.#fileOf(integrity), { force: true });
  }

  /** Integrities of all blobs, sorted, by their names: not yet checked. */
  async list(): Promise<string[]> {
    const shards = await readdir(this.folder).catch(() => []);
    const names = await Promise.all(shards.map((shard) => readdir(path.join(this.folder, shard)).catch(() => [])));
    const hex = names.flat().filter((name) => name.endsWith(SUFFIX) && name.length === 128 + SUFFIX.length);
    return hex.sort().map((name) => `sha512-${Buffer.from(name.slice(0, 128), 'hex').toString('base64')}`);
  }

  #fileOf(integrity: string): string {
    const hex = hexOf(integrity);
    return path.join(this.folder, hex.slice(0, 2), `${hex}${SUFFIX}`);
  }

  async #putAside(file: string): Promise<void> {
    await mkdir(this.damaged, { recursive: true });
    await rename(file, path.join(this.damaged, path.basename(file))).catch(() => {});
  }
}
