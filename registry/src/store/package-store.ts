import { watch } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { PluginFolder } from '../folder.js';
import { keyIdOf } from '../package/publisher-key.js';
import { type PluginPackage, type ReadOptions, readPackage } from '../package/read-package.js';
import { type Admitted, admit, type PublishOptions } from './admission.js';
import { BlobStore } from './blob-store.js';
import { Catalogue, type StoredVersion } from './catalogue.js';
import { DurableDocument } from './durable-document.js';
import { differences, type StoreEvent } from './events.js';
import { factsOf } from './facts.js';
import { FactsCache } from './facts-cache.js';
import {
  type Channel,
  emptyIndex,
  type IndexDocument,
  isIndexDocument,
  type KeyRecord,
  own,
  type VersionRecord,
} from './index-document.js';
import { rebuildIndex } from './rebuild.js';
import { StoreLock } from './store-lock.js';
import { quarantineReason, revokeKey, type SignaturePolicy, type TrustedKey, trustKey } from './trust.js';
import { unpackInto } from './unpack.js';
import { asStoreError } from './write-durably.js';

export interface StoreOptions {
  /** Made when it is missing. */
  folder: string;
  /** What packages of others need; `first-use` when absent. */
  signatures?: SignaturePolicy;
  /** How long to wait for another process that changes the store, in ms. */
  lockWaitMs?: number;
  now?: () => Date;
}

/** What opening found and put right. */
export interface OpenReport {
  /** Copies of the index that were damaged; the other one was taken. */
  damagedCopies: string[];
  /** The index was made anew from the packages: yanks are forgotten, and keys have to be confirmed. */
  rebuilt: boolean;
  /** Packages that could not be taken into a rebuilt index, and why. */
  problems: string[];
}

export interface PublishRequest extends PublishOptions, ReadOptions {}

export interface KeyInfo extends KeyRecord {
  keyId: string;
}

export interface StoreCheck {
  /** Versions whose tarball is missing or has other bytes. */
  damaged: { id: string; version: string; integrity: string }[];
  /** Tarballs that belong to no version. */
  orphans: string[];
}

const LOCK_WAIT_MS = 10_000;
const QUIET_MS = 50;

/**
 * The local registry: tarballs by their content, and an index of what they are. Several processes may use one folder.
 * What a call has done when it resolves outlives any crash; a call that a crash cuts off has done all or nothing.
 */
export class PackageStore {
  readonly #folder: string;
  readonly #policy: SignaturePolicy;
  readonly #now: () => Date;
  readonly #lock: StoreLock;
  readonly #document: DurableDocument<IndexDocument>;
  readonly #blobs: BlobStore;
  readonly #facts: FactsCache;
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  #unwatch: (() => void) | undefined;
  #index = emptyIndex();
  #generation = 0;
  #stamp = '';
  #catalogue = new Catalogue([]);
  #report: OpenReport = { damagedCopies: [], rebuilt: false, problems: [] };

  private constructor({
    folder,
    signatures = 'first-use',
    lockWaitMs = LOCK_WAIT_MS,
    now = () => new Date(),
  }: StoreOptions) {
    this.#folder = path.resolve(folder);
    this.#policy = signatures;
    this.#now = now;
    this.#lock = new StoreLock(this.#at('lock'), lockWaitMs);
    this.#document = new DurableDocument(this.#folder, 'index', this.#at('drafts'), isIndexDocument);
    this.#blobs = new BlobStore(this.#at('blobs'), this.#at('drafts'), this.#at('damaged'));
    this.#facts = new FactsCache(this.#at('facts'), this.#at('drafts'), this.#blobs);
  }

  /** Throws STORE_BUSY or STORE_UNWRITABLE; damage is repaired and told in `report`. */
  static async open(options: StoreOptions): Promise<PackageStore> {
    const store = new PackageStore(options);
    await mkdir(store.#at('drafts'), { recursive: true }).catch((error: unknown) => {
      throw asStoreError(error);
    });
    await store.#lock.run(() => store.#recover());
    return store;
  }

  get report(): OpenReport {
    return this.#report;
  }

  /** What is in the store, as far as this process knows; `refresh` looks for what others did. */
  get catalogue(): Catalogue {
    return this.#catalogue;
  }

  get signatures(): SignaturePolicy {
    return this.#policy;
  }

  /**
   * Takes a package in. Throws what `readPackage` and `admit` throw. Publishing the same bytes again is no error, and
   * heals a damaged tarball.
   */
  async publish(tarball: Uint8Array, request: PublishRequest = {}): Promise<Admitted> {
    const { expected, limits, ...options } = request;
    const read = await readPackage(tarball, { ...(expected && { expected }), ...(limits && { limits }) });
    return this.#change(async (index) => {
      const admitted = admit(index, read, { ...options, policy: this.#policy, at: this.#now().toISOString() });
      await this.#blobs.put(tarball);
      await this.#facts.put(read.integrity, factsOf(read));
      return admitted;
    });
  }

  /** A yanked version is never chosen anew; who runs it keeps it. Throws VERSION_NOT_FOUND. */
  yank(id: string, version: string, reason: string): Promise<void> {
    return this.#mark(id, version, (record) => (record.yanked = { at: this.#now().toISOString(), reason }));
  }

  unyank(id: string, version: string): Promise<void> {
    return this.#mark(id, version, (record) => delete record.yanked);
  }

  /** A deprecated version can be chosen, and says that it should not be. Without a message it no longer is. */
  deprecate(id: string, version: string, message: string | undefined): Promise<void> {
    return this.#mark(id, version, (record) => {
      if (message === undefined) delete record.deprecated;
      else record.deprecated = { at: this.#now().toISOString(), reason: message };
    });
  }

  setChannel(id: string, version: string, channel: Channel): Promise<void> {
    return this.#mark(id, version, (record) => (record.channel = channel));
  }

  /** Deletes a version. It can come back only with the same bytes. Throws VERSION_NOT_FOUND. */
  async remove(id: string, version: string): Promise<void> {
    const { integrity } = await this.#change((index) => {
      const record = recordOf(index, id, version);
      const entry = index.plugins[id]!;
      delete entry.versions[version];
      entry.removed[version] = record.integrity;
      return record;
    });
    await this.#lock.run(async () => {
      await this.#load();
      if (this.#integrities().has(integrity)) return;
      await this.#blobs.delete(integrity);
      await this.#facts.delete(integrity);
      await rm(this.#unpackedAt(integrity), { recursive: true, force: true });
    });
  }

  /** Sorted by publisher. */
  keys(): KeyInfo[] {
    const all = Object.entries(this.#index.keys).map(([keyId, record]) => ({ ...record, keyId }));
    return all.sort((a, b) => (`${a.publisher} ${a.keyId}` < `${b.publisher} ${b.keyId}` ? -1 : 1));
  }

  /** Throws KEY_REVOKED when it is and `restore` is not set. */
  trustKey(key: TrustedKey): Promise<KeyInfo> {
    return this.#change((index) => ({
      ...trustKey(index, key, this.#now().toISOString()),
      keyId: keyIdOf(key.publicKey),
    }));
  }

  /** Quarantines everything the key signed; resolves with that. Throws KEY_NOT_FOUND. */
  async revokeKey(keyId: string, reason: string): Promise<StoredVersion[]> {
    await this.#change((index) => revokeKey(index, keyId, reason));
    return this.#catalogue.versions().filter((version) => version.keyId === keyId);
  }

  /**
   * The tarball of a version, checked. Yanked ones are given out, because somebody may run them. Throws
   * VERSION_NOT_FOUND, PACKAGE_QUARANTINED or PACKAGE_DAMAGED.
   */
  async tarball(id: string, version: string): Promise<Buffer> {
    // Another process may have revoked a key a moment ago.
    await this.refresh();
    const { integrity } = this.#usable(id, version);
    return this.#blobs.read(integrity);
  }

  /** The content of a version. Throws as `tarball` does. */
  async read(id: string, version: string): Promise<PluginPackage> {
    return readPackage(await this.tarball(id, version), { expected: { id, version } });
  }

  /** A version as a folder that can be started. It is checked, and made again when it is not whole. Throws as `tarball` does. */
  async unpack(id: string, version: string): Promise<PluginFolder> {
    const read = await this.read(id, version);
    const dir = this.#unpackedAt(read.integrity);
    await this.#lock.run(() => unpackInto(dir, read.files, this.#at('drafts')));
    return { dir, manifest: read.manifest, packageJson: read.packageJson };
  }

  /** Takes in what other processes did. */
  async refresh(): Promise<void> {
    if ((await this.#document.stamp()) !== this.#stamp) await this.#lock.run(() => this.#load());
  }

  /** Tells of every change, whoever made it, after it is durable. Returns the undo. */
  subscribe(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    this.#unwatch ??= this.#watch();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#unwatch?.();
      this.#unwatch = undefined;
    };
  }

  /** Reads every tarball. With `repair`, what is damaged is put aside and what belongs to nothing is deleted. */
  async check({ repair = false } = {}): Promise<StoreCheck> {
    await this.refresh();
    const damaged: StoreCheck['damaged'] = [];
    // Reading everything takes its time: others may go on meanwhile.
    for (const { id, version, integrity } of this.#catalogue.versions()) {
      if (!(await this.#blobs.isWhole(integrity))) damaged.push({ id, version, integrity });
    }
    return this.#lock.run(async () => {
      await this.#load();
      const orphans = await this.#orphans();
      if (repair) await this.#repair(damaged, orphans);
      return { damaged, orphans };
    });
  }

  /** Ends what `subscribe` began. The folder can go on being used by others. */
  close(): void {
    this.#listeners.clear();
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  #at(name: string): string {
    return path.join(this.#folder, name);
  }

  #unpackedAt(integrity: string): string {
    return path.join(
      this.#folder,
      'unpacked',
      Buffer.from(integrity.slice('sha512-'.length), 'base64').toString('hex').slice(0, 40),
    );
  }

  #integrities(): Set<string> {
    return new Set(this.#catalogue.versions().map(({ integrity }) => integrity));
  }

  #usable(id: string, version: string): StoredVersion {
    const stored = this.#catalogue.version(id, version);
    if (!stored) throw notFound(id, version);
    if (stored.quarantined)
      throw new AtollError('PACKAGE_QUARANTINED', `${id}@${version} is quarantined: ${stored.quarantined}`);
    return stored;
  }

  #mark(id: string, version: string, change: (record: VersionRecord) => void): Promise<void> {
    return this.#change((index) => change(recordOf(index, id, version)));
  }

  /** Changes the index: all that the task does to it, or nothing. */
  #change<T>(task: (index: IndexDocument) => Promise<T> | T): Promise<T> {
    return this.#lock.run(async () => {
      await this.#load();
      const draft = structuredClone(this.#index);
      const result = await task(draft);
      if (!isDeepStrictEqual(draft, this.#index)) await this.#document.write(draft, ++this.#generation);
      await this.#adopt(draft);
      return result;
    });
  }

  async #load(): Promise<void> {
    const stamp = await this.#document.stamp();
    if (stamp === this.#stamp) return;
    const { value, generation } = await this.#document.read();
    if (!value)
      throw new AtollError(
        'STORE_DAMAGED',
        `Both copies of the index in ${this.#folder} are damaged; open the store anew.`,
      );
    this.#generation = generation;
    await this.#adopt(value);
  }

  async #adopt(index: IndexDocument): Promise<void> {
    const before = this.#catalogue;
    this.#index = index;
    this.#stamp = await this.#document.stamp();
    this.#catalogue = new Catalogue(await this.#describe(index));
    for (const event of differences(before, this.#catalogue)) this.#tell(event);
  }

  #tell(event: StoreEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        // A listener's fault is its own: the change has happened.
        process.emitWarning(`A listener of the plugin store failed: ${String(error)}`);
      }
    }
  }

  async #describe(index: IndexDocument): Promise<StoredVersion[]> {
    const all = Object.entries(index.plugins).flatMap(([id, entry]) =>
      Object.entries(entry.versions).map(([version, record]) => ({ id, version, entry, record })),
    );
    return Promise.all(
      all.map(async ({ id, version, entry: { name, publisher }, record }): Promise<StoredVersion> => {
        const facts = await this.#facts.get(record.integrity);
        const quarantined = quarantineReason(index, record, this.#policy);
        const whole = facts !== undefined && (await this.#blobs.sizeOf(record.integrity)) === facts.size;
        return {
          ...record,
          id,
          name,
          version,
          publisher,
          verified: record.keyId !== undefined && own(index.keys, record.keyId)?.trust === 'explicit',
          ...(quarantined !== undefined && { quarantined }),
          ...(!whole && { damaged: true }),
          ...(facts && { facts }),
        };
      }),
    );
  }

  async #recover(): Promise<void> {
    for (const draft of await readdir(this.#at('drafts')))
      await rm(path.join(this.#at('drafts'), draft), { recursive: true, force: true });
    const { value, generation, damaged } = await this.#document.read();
    const { index, problems } = value
      ? { index: value, problems: [] }
      : await rebuildIndex(this.#blobs, this.#now().toISOString());
    this.#generation = generation;
    // A store that was never written to is no damaged one.
    const rebuilt = !value && (damaged.length > 0 || Object.keys(index.plugins).length > 0);
    this.#report = { damagedCopies: damaged, rebuilt, problems };
    if (!value || damaged.length > 0) await this.#document.write(index, ++this.#generation);
    await this.#adopt(index);
    if (value) for (const integrity of await this.#orphans()) await this.#blobs.delete(integrity);
  }

  /** What a crash left between writing a package and writing the index was never published. */
  async #orphans(): Promise<string[]> {
    const known = this.#integrities();
    return (await this.#blobs.list()).filter((integrity) => !known.has(integrity));
  }

  async #repair(damaged: StoreCheck['damaged'], orphans: readonly string[]): Promise<void> {
    for (const { integrity } of damaged) await this.#blobs.putAsideDamaged(integrity);
    for (const integrity of orphans) await this.#blobs.delete(integrity);
    await this.#document.write(this.#index, ++this.#generation);
    await this.#adopt(this.#index);
  }

  #watch(): () => void {
    let timer: NodeJS.Timeout | undefined;
    const look = () => {
      clearTimeout(timer);
      // What is wrong with the store is told by the next call that uses it.
      timer = setTimeout(() => void this.refresh().catch(() => {}), QUIET_MS);
    };
    const watcher = watch(this.#folder, (_, file) => {
      if (file === null || file.startsWith('index')) look();
    });
    watcher.on('error', () => watcher.close());
    return () => {
      clearTimeout(timer);
      watcher.close();
    };
  }
}

const notFound = (id: string, version: string): AtollError =>
  new AtollError('VERSION_NOT_FOUND', `The store has no ${id}@${version}.`);

function recordOf(index: IndexDocument, id: string, version: string): VersionRecord {
  const record = own(own(index.plugins, id)?.versions ?? {}, version);
  if (!record) throw notFound(id, version);
  return record;
}
