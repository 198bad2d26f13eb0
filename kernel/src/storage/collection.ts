import { AtollError } from '@atoll/plugin-sdk/contract';
import { type Database, sqlState } from '../database/index.js';
import type { Validator } from '../schema/index.js';
import { checkId, type Document, type NewDocument, newId, toJson, toText } from './document.js';
import { filterSql } from './filter.js';
import { GroupedCalls } from './grouped-calls.js';
import { Order } from './order.js';
import type { Quota } from './quota.js';
import { identifier, Sql } from './sql.js';
import type { CollectionTable } from './table.js';
import type { Turnstile } from './turnstile.js';

export interface FindRequest {
  where?: unknown;
  orderBy?: unknown;
  limit?: number;
  cursor?: string;
}

export interface CollectionLimits {
  maxDocumentBytes: number;
}

/** What a page holds at most, in bytes of JSON: the rest is on the next one. */
const PAGE_BYTES = 4_194_304;
/** What one query may bring into memory. */
const MAX_FETCH_BYTES = 67_108_864;
/** Of single documents that are written together, in bytes. */
const MAX_INSERT_BYTES = 1_048_576;
const DEFAULT_LIMIT = 50;
/** How often an update without a version is tried again when others change the same document. */
const UPDATE_TRIES = 10;

/** One row as the statements below return it. */
export interface Row {
  id: string;
  version: number;
  doc: string;
  size: number;
}

/** One collection as one version of a plugin sees it: its documents of all organisations, each call for one of these. */
export class Collection {
  readonly #inserts = new GroupedCalls<NewDocument, undefined>(
    (org, documents) => this.turnstile.run(() => this.#write(org, documents)),
    { bytes: MAX_INSERT_BYTES, bytesOf: ({ size }) => size },
  );
  readonly #gets = new GroupedCalls<string, Row | undefined>(
    (org, ids) => this.turnstile.run(() => this.#read(org, ids)),
    { bytes: MAX_FETCH_BYTES, bytesOf: () => this.limits.maxDocumentBytes },
  );

  constructor(
    readonly name: string,
    readonly table: CollectionTable,
    private readonly database: Database,
    private readonly quota: Quota,
    private readonly validator: Validator | undefined,
    private readonly limits: CollectionLimits,
    /** Where what is done for several callers together takes its place. Whoever calls the rest has one already. */
    private readonly turnstile: Turnstile,
  ) {}

  get schema() {
    return this.validator?.schema;
  }

  /** A document out of what a plugin gives: id, defaults, and the check against the schema. */
  prepare(input: unknown): NewDocument {
    const { id, version: _, ...content } = asObject(input);
    return { id: id === undefined ? newId() : checkId(id), ...this.#checked(content) };
  }

  /** All or none. Throws CONFLICT for an id or a unique value that is taken. */
  insert(org: string, documents: readonly NewDocument[]): Promise<void> {
    return this.#reserving(documents, () => this.#write(org, documents));
  }

  /** As `insert`, in a statement with others. For callers that hold no place at the turnstile. */
  insertTogether(org: string, document: NewDocument): Promise<void> {
    return this.#reserving([document], () => this.#inserts.call(org, document));
  }

  async #reserving(documents: readonly NewDocument[], write: () => Promise<unknown>): Promise<void> {
    const bytes = documents.reduce((sum, { size }) => sum + size, 0);
    await this.quota.reserve(documents.length, bytes);
    try {
      await this.#guarded(documents[0]?.id, () => write());
    } catch (error) {
      this.quota.release(documents.length, bytes);
      throw error;
    }
  }

  async get(org: string, id: string): Promise<Row | undefined> {
    return (await this.#read(org, [id]))[0];
  }

  /** As `get`, in a statement with others. For callers that hold no place at the turnstile. */
  getTogether(org: string, id: string): Promise<Row | undefined> {
    return this.#gets.call(org, id);
  }

  /** In the order of the ids. Each is looked up by the key, whatever the planner knows about the table. */
  async #read(org: string, ids: readonly string[]): Promise<(Row | undefined)[]> {
    const columns = 'd.id, d.version, d.size, d.doc::text as doc';
    const { name } = this.table;
    if (ids.length === 1)
      return this.database.query<Row>(`select ${columns} from ${name} as d where org = $1 and id = $2`, [org, ids[0]]);
    const rows = await this.database.query<Row>(
      `select ${columns} from unnest($2::text[]) as wanted (id)
        cross join lateral (select * from ${name} as t where t.org = $1 and t.id = wanted.id limit 1) as d`,
      [org, ids],
    );
    const found = new Map(rows.map((row) => [row.id, row]));
    return ids.map((id) => found.get(id));
  }

  /** Replaces the given fields. Without a version, whatever the document is by then. Throws NOT_FOUND or CONFLICT. */
  async update(org: string, id: string, patch: Patch, version: number | undefined): Promise<Row> {
    for (let left = UPDATE_TRIES; left > 0; left--) {
      const current = await this.get(org, id);
      if (!current) throw new AtollError('NOT_FOUND', `There is no document "${id}" in "${this.name}".`);
      if (version !== undefined && version !== current.version) throw this.#stale(id, current.version);
      const updated = await this.#replace(org, current, this.merged(current, patch));
      if (updated) return updated;
    }
    throw new AtollError('CONFLICT', `The document "${id}" is changed too often by others.`);
  }

  /** The document with the patch applied, checked. */
  merged(current: Row, { set, unset }: Patch): { json: string; size: number } {
    const { id: _id, version: _version, ...fields } = asObject(set);
    const content = { ...(JSON.parse(current.doc) as Record<string, unknown>), ...fields };
    for (const name of unset) delete content[name];
    return this.#checked(content);
  }

  /** False when there was none. Throws CONFLICT when it has another version. */
  async delete(org: string, id: string, version: number | undefined): Promise<boolean> {
    const condition = version === undefined ? '' : ' and version = $3';
    const rows = await this.database.query<{ size: number }>(
      `delete from ${this.table.name} where org = $1 and id = $2${condition} returning size`,
      version === undefined ? [org, id] : [org, id, version],
    );
    if (rows[0]) {
      this.quota.release(1, rows[0].size);
      return true;
    }
    const current = version === undefined ? undefined : await this.get(org, id);
    if (current) throw this.#stale(id, current.version);
    return false;
  }

  /** A page of documents, and where the next one begins. */
  async find(org: string, request: FindRequest): Promise<{ rows: Row[]; nextCursor?: string }> {
    const { where, orderBy, limit = DEFAULT_LIMIT, cursor } = request;
    const sql = new Sql();
    const order = Order.of(orderBy, where, this.schema);
    const conditions = [`org = ${sql.value(org)}`, filterSql(where, { sql, hashed: this.table.hashed })];
    if (cursor !== undefined) conditions.push(order.after(cursor, sql));
    const page = `select id, version, size, doc, ${order.keys} as keys from ${this.table.name}
      where ${conditions.join(' and ')} order by ${order.sql} limit ${limit + 1}`;
    // What could be too much for the memory is cut off in the database.
    const fits = limit * this.limits.maxDocumentBytes <= MAX_FETCH_BYTES;
    const counted = `select *, sum(size) over (order by ${order.sql}) - size as before from (${page}) as page`;
    // The text is made of the page's documents only, and not of all that were sorted for it.
    const text = `select id, version, size, doc::text as doc, keys
      from (${fits ? page : counted}) as found ${fits ? '' : `where before <= ${PAGE_BYTES}`} order by ${order.sql}`;
    const rows = await this.database.query<Row & { keys: string[] | null }>(text, sql.parameters);
    return toPage(rows, limit, order);
  }

  async count(org: string, where: unknown): Promise<number> {
    const sql = new Sql();
    const condition = `org = ${sql.value(org)} and ${filterSql(where, { sql, hashed: this.table.hashed })}`;
    const rows = await this.database.query<{ count: string }>(
      `select count(*)::text as count from ${this.table.name} where ${condition}`,
      sql.parameters,
    );
    return Number(rows[0]!.count);
  }

  #checked(content: Record<string, unknown>): { json: string; size: number } {
    const value = this.validator ? this.validator.parse(content) : content;
    if (this.validator && !this.validator.check(value)) {
      const errors = this.validator.errors(value);
      const list = errors.map(({ pointer, message }) => `${pointer || '/'} ${message}`).join('; ');
      throw new AtollError('VALIDATION_FAILED', `The document does not match the schema of "${this.name}": ${list}.`, {
        errors,
      });
    }
    this.#checkVectors(value as Record<string, unknown>);
    return toJson(value as Record<string, unknown>, this.limits.maxDocumentBytes);
  }

  #checkVectors(content: Record<string, unknown>): void {
    for (const index of this.table.spec.indexes) {
      if (index.kind !== 'vector') continue;
      const value = index.field
        .split('.')
        .reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], content);
      if (value === undefined || value === null) continue;
      checkVector(value, index.dimensions, index.field);
    }
  }

  async #write(org: string, documents: readonly NewDocument[]): Promise<undefined[]> {
    await (documents.length === 1 ? this.#insertOne(org, documents[0]!) : this.#insertMany(org, documents));
    return [];
  }

  async #insertOne(org: string, { id, json, size }: NewDocument): Promise<void> {
    const { derived } = this.table;
    const names = derived.map(({ name }) => `, ${identifier(name)}`).join('');
    const source =
      derived.length === 0
        ? 'values ($1, $2, $3, $4::jsonb)'
        : `select $1, $2, $3::int, doc${derived.map(({ expression }) => `, ${expression}`).join('')} from (select $4::jsonb as doc offset 0) as given`;
    await this.database.query(`insert into ${this.table.name} (org, id, size, doc${names}) ${source}`, [
      org,
      id,
      size,
      json,
    ]);
  }

  async #insertMany(org: string, documents: readonly NewDocument[]): Promise<void> {
    if (documents.length === 0) return;
    const { derived } = this.table;
    const names = derived.map(({ name }) => `, ${identifier(name)}`).join('');
    const expressions = derived.map(({ expression }) => `, ${expression}`).join('');
    await this.database.query(
      `insert into ${this.table.name} (org, id, size, doc${names})
       select $1, id, size, doc${expressions} from (
         select id, size, json::jsonb as doc from unnest($2::text[], $3::int[], $4::text[]) as given (id, size, json) offset 0) as documents`,
      [org, documents.map(({ id }) => id), documents.map(({ size }) => size), documents.map(({ json }) => json)],
    );
  }

  /** Undefined when another change came in between. */
  async #replace(org: string, current: Row, { json, size }: { json: string; size: number }): Promise<Row | undefined> {
    const growth = size - current.size;
    await this.quota.reserve(0, growth);
    const derived = this.table.derived
      .map(({ name, expression }) => `, ${identifier(name)} = (select ${expression} from given)`)
      .join('');
    try {
      const rows = await this.#guarded(current.id, () =>
        this.database.query<Row>(
          `with given as (select $4::jsonb as doc)
           update ${this.table.name} set doc = $4::jsonb, size = $5, version = version + 1${derived}
           where org = $1 and id = $2 and version = $3 returning id, version, size, doc::text as doc`,
          [org, current.id, current.version, json, size],
        ),
      );
      if (rows[0]) return rows[0];
    } catch (error) {
      this.quota.release(0, growth);
      throw error;
    }
    this.quota.release(0, growth);
    return undefined;
  }

  #stale(id: string, version: number): AtollError {
    return new AtollError('CONFLICT', `The document "${id}" has version ${version} by now.`, { version });
  }

  async #guarded<T>(id: string | undefined, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw this.toStorageError(error, id);
    }
  }

  /** What the database says about a document, in words. */
  toStorageError(error: unknown, id?: string): unknown {
    const state = sqlState(error);
    if (state === '23505') {
      const field = this.table.fieldOfConstraint((error as { constraint?: string }).constraint ?? '');
      return field
        ? new AtollError('CONFLICT', `Another document of "${this.name}" has the same \`${field}\`.`, { field })
        : new AtollError(
            'CONFLICT',
            `A document with this id${id === undefined ? '' : ` (${id})`} exists in "${this.name}".`,
          );
    }
    if (state === '54001') return new AtollError('VALIDATION_FAILED', 'The document is nested too deeply.');
    if (state === '54000')
      return new AtollError('VALIDATION_FAILED', 'The document has more text than can be indexed.');
    if (state === '22P02' || state === '22P05' || state === '22003')
      return new AtollError('VALIDATION_FAILED', 'The document has a value that cannot be stored.');
    return error;
  }
}

/** The rows that fit into a page, at least one; and a cursor when there are more. */
function toPage(
  rows: (Row & { keys: string[] | null })[],
  limit: number,
  order: Order,
): { rows: Row[]; nextCursor?: string } {
  let bytes = 0;
  const fits = rows.findIndex((row, at) => {
    bytes += row.size;
    return at > 0 && bytes > PAGE_BYTES;
  });
  const page = rows.slice(0, Math.min(limit, fits < 0 ? rows.length : fits));
  const last = page.at(-1);
  return { rows: page, ...(last && page.length < rows.length && { nextCursor: order.cursor(last.keys, last.id) }) };
}

/** Top-level fields to set, and to remove. */
export interface Patch {
  set: Record<string, unknown>;
  unset: readonly string[];
}

export function checkVector(value: unknown, dimensions: number, field: string): number[] {
  const valid =
    Array.isArray(value) &&
    value.length === dimensions &&
    // Within what 32 bits hold.
    value.every((one) => typeof one === 'number' && Math.abs(one) <= 3.4e38);
  if (!valid) throw new AtollError('VALIDATION_FAILED', `\`${field}\` has to be a list of ${dimensions} numbers.`);
  return value as number[];
}

export const parseDocument = (row: Row): Document => JSON.parse(toText(row)) as Document;

function asObject(input: unknown): Record<string, unknown> {
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) return input as Record<string, unknown>;
  throw new AtollError('VALIDATION_FAILED', 'A document is an object.');
}
