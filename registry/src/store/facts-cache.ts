import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { hexOf } from '../package/integrity.js';
import { readPackage } from '../package/read-package.js';
import type { BlobStore } from './blob-store.js';
import { factsOf, type PackageFacts } from './facts.js';
import { writeDurably } from './write-durably.js';

/** Raise it when facts change their shape: older ones are then read from the packages again. */
const FORMAT = 1;

interface Entry {
  format: number;
  hash: string;
  facts: PackageFacts;
}

const hashOf = (integrity: string, facts: PackageFacts): string =>
  createHash('sha256')
    .update(`${FORMAT} ${integrity} ${JSON.stringify(facts)}`)
    .digest('hex');

/** Facts of packages, so that a start need not unpack every tarball. Whatever is wrong with an entry: the package tells. */
export class FactsCache {
  readonly #memory = new Map<string, PackageFacts>();

  constructor(
    private readonly folder: string,
    private readonly drafts: string,
    private readonly blobs: BlobStore,
  ) {}

  /** Undefined when neither the cache nor a whole package is there. */
  async get(integrity: string): Promise<PackageFacts | undefined> {
    const known = this.#memory.get(integrity) ?? (await this.#fromFile(integrity));
    if (known) this.#memory.set(integrity, known);
    return known ?? this.#fromBlob(integrity);
  }

  async put(integrity: string, facts: PackageFacts): Promise<void> {
    this.#memory.set(integrity, facts);
    const entry: Entry = { format: FORMAT, hash: hashOf(integrity, facts), facts };
    // A cache that can't be written costs time at the next start, not function.
    await writeDurably(this.#fileOf(integrity), Buffer.from(JSON.stringify(entry)), this.drafts).catch(() => {});
  }

  async delete(integrity: string): Promise<void> {
    this.#memory.delete(integrity);
    await rm(this.#fileOf(integrity), { force: true });
  }

  async #fromFile(integrity: string): Promise<PackageFacts | undefined> {
    try {
      const { format, hash, facts } = JSON.parse(await readFile(this.#fileOf(integrity), 'utf8')) as Entry;
      return format === FORMAT && hash === hashOf(integrity, facts) ? facts : undefined;
    } catch {
      return undefined;
    }
  }

  async #fromBlob(integrity: string): Promise<PackageFacts | undefined> {
    try {
      const facts = factsOf(await readPackage(await this.blobs.read(integrity)));
      await this.put(integrity, facts);
      return facts;
    } catch {
      return undefined;
    }
  }

  #fileOf(integrity: string): string {
    return path.join(this.folder, `${hexOf(integrity)}.json`);
  }
}
