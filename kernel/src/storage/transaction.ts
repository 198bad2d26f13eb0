import { createHash } from 'node:crypto';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { type Database, sqlState } from '../database/index.js';
import type { Collection, FindRequest, Patch, Row } from './collection.js';
import type { NewDocument } from './document.js';
import type { Quota } from './quota.js';
import { Turns } from '../turns.js';

/*
 * A plugin's transaction lasts as long as its code takes, which must not hold the database. So nothing is open meanwhile: what the
 * plugin reads is answered at once and remembered with a digest, what it writes is only remembered. A read after writes does the writes
 * first, in a database transaction of its own that is rolled back. The commit does everything again in one short transaction, and
 * succeeds when every read gives what it gave before. That is serializable, and bounded whatever the plugin does.
 */

type Step =
  | { kind: 'insert'; collection: Collection; documents: readonly NewDocument[] }
  | { kind: 'update'; collection: Collection; id: string; patch: Patch; version: number }
  | { kind: 'delete'; collection: Collection; id: string; version: number | undefined }
  | { kind: 'read'; run: () => Promise<unknown>; digest: string };

const MAX_STEPS = 500;
const MAX_BYTES = 16_777_216;

class RolledBack extends Error {
  constructor(readonly value: unknown) {
    super('rolled back');
  }
}

/** One transaction of one plugin for one organisation. */
export class StorageTransaction {
  readonly #steps: Step[] = [];
  #bytes = 0;
  #over = false;
  readonly #turns = new Turns();

  constructor(
    private readonly database: Database,
    private readonly quota: Quota,
    readonly org: string,
    /** Latest time for its end, by `performance.now()`. */
    readonly expires: number,
  ) {}

  insert(collection: Collection, documents: readonly NewDocument[]): Promise<void> {
    return this.#inOrder(async () => {
      this.#add(
        { kind: 'insert', collection, documents },
        documents.reduce((sum, { size }) => sum + size, 0),
      );
    });
  }

  get(collection: Collection, id: string): Promise<Row | undefined> {
    return this.#inOrder(() => this.#read(() => collection.get(this.org, id)));
  }

  find(collection: Collection, request: FindRequest): Promise<{ rows: Row[]; nextCursor?: string }> {
    return this.#inOrder(() => this.#read(() => collection.find(this.org, request)));
  }

  update(collection: Collection, id: string, patch: Patch, version: number | undefined): Promise<Row> {
    return this.#inOrder(async () => {
      const current = await this.#read(() => collection.get(this.org, id));
      if (!current) throw new AtollError('NOT_FOUND', `There is no document "${id}" in "${collection.name}".`);
      if (version !== undefined && version !== current.version)
        throw new AtollError('CONFLICT', `The document "${id}" has version ${current.version} by now.`, {
          version: current.version,
        });
      const { json, size } = collection.merged(current, patch);
      this.#add({ kind: 'update', collection, id, patch, version: current.version }, size);
      return { id, version: current.version + 1, doc: json, size };
    });
  }

  delete(collection: Collection, id: string, version: number | undefined): Promise<boolean> {
    return this.#inOrder(async () => {
      const current = await this.#read(() => collection.get(this.org, id));
      if (!current) return false;
      if (version !== undefined && version !== current.version)
        throw new AtollError('CONFLICT', `The document "${id}" has version ${current.version} by now.`, {
          version: current.version,
        });
      this.#add({ kind: 'delete', collection, id, version: current.version }, 0);
      return true;
    });
  }

  /** Throws CONFLICT with `retry: true` when something that was read has changed: then the whole is to be done again. */
  commit(): Promise<void> {
    return this.#inOrder(async () => {
      this.#over = true;
      try {
        await this.quota.undoable(() =>
          this.database.transaction(() => this.#replay(this.#steps, true), { isolation: 'serializable' }),
        );
      } catch (error) {
        if (sqlState(error) === '40001' || sqlState(error) === '40P01') throw changed();
        throw error;
      }
    });
  }

  rollback(): void {
    this.#over = true;
  }

  async #replay(steps: readonly Step[], verify: boolean): Promise<void> {
    for (const step of steps) {
      if (step.kind === 'read') {
        if (verify && digestOf(await step.run()) !== step.digest) throw changed();
      } else await this.#write(step);
    }
  }

  async #write(step: Exclude<Step, { kind: 'read' }>): Promise<void> {
    const { collection } = step;
    if (step.kind === 'insert') await collection.insert(this.org, step.documents);
    else if (step.kind === 'update') await collection.update(this.org, step.id, step.patch, step.version);
    else await collection.delete(this.org, step.id, step.version);
  }

  /** What a read gives with everything before it done. */
  async #read<T>(run: () => Promise<T>): Promise<T> {
    const writes = this.#steps.filter(({ kind }) => kind !== 'read');
    const value = writes.length === 0 ? await run() : await this.#ahead(run);
    this.#add({ kind: 'read', run, digest: digestOf(value) }, 0);
    return value;
  }

  async #ahead<T>(run: () => Promise<T>): Promise<T> {
    try {
      await this.quota.undoable(() =>
        this.database.transaction(async () => {
          await this.#replay(this.#steps, false);
          throw new RolledBack(await run());
        }),
      );
    } catch (error) {
      if (error instanceof RolledBack) return error.value as T;
      // Another one was faster.
      if (error instanceof AtollError && (error.code === 'CONFLICT' || error.code === 'NOT_FOUND') && this.#hasRead())
        throw changed(error);
      throw error;
    }
    throw new AtollError('INTERNAL', 'A read ahead was committed.');
  }

  #hasRead(): boolean {
    return this.#steps.some(({ kind }) => kind === 'read');
  }

  #add(step: Step, bytes: number): void {
    this.#bytes += bytes;
    if (this.#steps.length >= MAX_STEPS || this.#bytes > MAX_BYTES)
      throw new AtollError('BODY_TOO_LARGE', `A transaction has at most ${MAX_STEPS} steps and ${MAX_BYTES} bytes.`);
    this.#steps.push(step);
  }

  /** One after the other, however the plugin calls them. */
  #inOrder<T>(run: () => Promise<T>): Promise<T> {
    return this.#turns.run(async () => {
      if (this.#over) throw new AtollError('CONFLICT', 'The transaction is over.');
      if (performance.now() > this.expires) throw new AtollError('DEADLINE_EXCEEDED', 'The transaction took too long.');
      return run();
    });
  }
}

function changed(cause?: unknown): AtollError {
  return new AtollError(
    'CONFLICT',
    'Something that the transaction has read was changed meanwhile.',
    { retry: true },
    { cause },
  );
}

/** Of a document its id and version say everything. */
function digestOf(value: unknown): string {
  const text = JSON.stringify(value ?? null, (key, inner: unknown) =>
    key === 'doc' || key === 'keys' ? undefined : inner,
  );
  return createHash('sha256').update(text).digest('base64');
}
