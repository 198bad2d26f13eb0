import type { Static, TSchema } from 'typebox';

/**
 * How a field can be found: `equality`, `range` (also for sorting), `unique`, `text` (full text; English unless a language is named)
 * and vectors of a dimension (cosine distance unless another metric is named).
 */
export type IndexDeclaration =
  | 'equality'
  | 'range'
  | 'unique'
  | 'text'
  | { text: string }
  | { vector: number; metric?: 'cosine' | 'l2' | 'inner' };

export interface CollectionOptions<S extends TSchema | undefined = undefined> {
  /** Checked at every write; defaults are filled in. */
  schema?: S;
  /** By field; dots lead into objects (`address.city`). A change is carried out when the plugin starts. */
  indexes?: Record<string, IndexDeclaration | IndexDeclaration[]>;
}

type Content<S> = S extends TSchema ? Static<S> : Record<string, unknown>;

/** A document as it is stored. `version` counts its changes, from 1. */
export type Stored<T> = T & { id: string; version: number };

type Scalar = string | number | boolean | null;

export interface FieldFilter {
  eq?: Scalar;
  ne?: Scalar;
  in?: Scalar[];
  nin?: Scalar[];
  gt?: number | string;
  gte?: number | string;
  lt?: number | string;
  lte?: number | string;
  exists?: boolean;
  startsWith?: string;
  /** An element of a list, or a part of a text. */
  contains?: Scalar;
}

/** Fields (dots lead into objects) with a value or operators; all have to match. `null` also matches an absent field. */
export interface Filter {
  and?: Filter[];
  or?: Filter[];
  not?: Filter;
  [field: string]: Scalar | FieldFilter | Filter | Filter[] | undefined;
}

type Direction = 'asc' | 'desc';

export interface Query {
  where?: Filter;
  /** A field, or fields with directions; by id when absent, which is the order of insertion. */
  orderBy?: string | Record<string, Direction> | (string | Record<string, Direction>)[];
  /** At most 1000; 50 when absent. A page may hold less when its documents are large. */
  limit?: number;
  /** `nextCursor` of the page before, of the same query. */
  cursor?: string;
}

export interface Page<T> {
  items: T[];
  nextCursor?: string;
}

export interface SearchQuery {
  text?: string;
  /** The field has to be named when there are several with vectors. */
  vector?: number[] | { field: string; value: number[] };
  where?: Filter;
  /** How many; 10 when absent, at most 1000. */
  k?: number;
}

export interface SearchHit<T> {
  document: T;
  /** Higher is better; comparable within one answer. */
  score: number;
}

/** Documents, as they can be reached within a transaction, too. */
export interface Documents<T> {
  /** `id` is made unless given. CONFLICT when it, or a unique value, is taken; VALIDATION_FAILED; STORAGE_QUOTA. */
  insert(document: T & { id?: string }): Promise<Stored<T>>;
  /** All or none; at most 1000. */
  insertMany(documents: (T & { id?: string })[]): Promise<Stored<T>[]>;
  get(id: string): Promise<Stored<T> | undefined>;
  find(query?: Query): Promise<Page<Stored<T>>>;
  /** Sets the given fields; `undefined` removes one. With a version: CONFLICT when the document has another by now. */
  update(id: string, patch: { [K in keyof T]?: T[K] | undefined }, options?: { version?: number }): Promise<Stored<T>>;
  /** False when there was none. */
  delete(id: string, options?: { version?: number }): Promise<boolean>;
}

export interface Collection<T> extends Documents<T> {
  readonly name: string;
  count(where?: Filter): Promise<number>;
  /** The best by text, by vector, or by both lists merged by rank. */
  search(query: SearchQuery): Promise<{ items: SearchHit<Stored<T>>[] }>;
}

export interface Transaction {
  collection<T>(collection: Collection<T>): Documents<T>;
  collection(name: string): Documents<Record<string, unknown>>;
}

export interface BlobInfo {
  /** Of the content, in hex: its name. */
  sha256: string;
  /** In bytes. */
  size: number;
  type: string;
}

export interface StoredBlob extends BlobInfo {
  readonly stream: ReadableStream<Uint8Array>;
  bytes(): Promise<Uint8Array>;
  text(): Promise<string>;
}

export interface Blobs {
  put(
    content: string | ArrayBuffer | ArrayBufferView | Blob | ReadableStream<Uint8Array>,
    options?: { type?: string },
  ): Promise<BlobInfo>;
  /** To be read once. */
  get(sha256: string): Promise<StoredBlob | undefined>;
  info(sha256: string): Promise<BlobInfo | undefined>;
  delete(sha256: string): Promise<boolean>;
}

/**
 * JSON documents and binaries of the plugin's own, apart for each organisation: a call sees those of its caller's. Needs
 * `permissions.storage`.
 */
export interface Storage {
  /** Declares a collection; in `setup`, so that it is ready when the plugin is. */
  collection<S extends TSchema | undefined = undefined>(
    name: string,
    options?: CollectionOptions<S>,
  ): Collection<Content<S>>;
  /**
   * All of the work's writes or none, as if nobody else had written meanwhile. The work is done again, a few times, when somebody has:
   * let it do nothing else. Only what goes through `tx` is part of it.
   */
  transaction<T>(work: (tx: Transaction) => T | Promise<T>): Promise<T>;
  readonly blobs: Blobs;
}
