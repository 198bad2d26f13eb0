import { AtollError } from '@atoll/plugin-sdk/contract';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Database } from '../database/index.js';
import type { Blobs } from './blobs.js';
import { checkId, toJson } from './document.js';
import type { StorageService } from './service.js';
import { identifier } from './sql.js';

/*
 * What a plugin has stored, as lines of JSON: a head; for each collection its name, then its documents; each blob's head, then its bytes
 * in base64; an end that counts them. Documents keep their ids and versions, blobs their names.
 */

const Head = Type.Object({ atoll: Type.Literal('plugin-data'), format: Type.Literal(1), plugin: Type.String() });
const CollectionLine = Type.Object({ collection: Type.String({ pattern: '^[A-Za-z][\\w-]{0,62}$' }) });
const Org = Type.String({ minLength: 1, maxLength: 200 });
const DocumentLine = Type.Object({
  org: Org,
  id: Type.String(),
  version: Type.Integer({ minimum: 1, maximum: 2_147_483_647 }),
  doc: Type.Record(Type.String(), Type.Unknown()),
});
const BlobLine = Type.Object({
  blob: Type.Object({
    org: Org,
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    size: Type.Integer(),
    type: Type.String(),
  }),
});
const BytesLine = Type.Object({ bytes: Type.String() });
const EndLine = Type.Object({ end: Type.Literal(true), documents: Type.Integer(), blobs: Type.Integer() });

export interface TransferSummary {
  documents: number;
  blobs: number;
}

const STEP = 50;
/** A line holds a document, or a chunk of a blob. */
const MAX_LINE = 33_554_432;

export async function* exportPlugin(service: StorageService, plugin: string): AsyncGenerator<string> {
  const summary: TransferSummary = { documents: 0, blobs: 0 };
  yield line({ atoll: 'plugin-data', format: 1, plugin });
  const collections = await service.database.query<{ id: number; name: string }>(
    `select id, name from storage_collection where plugin = $1 and to_regclass('plugin_data.c' || id) is not null order by name`,
    [plugin],
  );
  for (const { id, name } of collections) {
    yield line({ collection: name });
    for await (const text of documentsOf(service.database, id)) {
      summary.documents++;
      yield text;
    }
  }
  const blobs = await service.database.query<{ org: string; sha256: string; size: string; type: string }>(
    'select org, sha256, size, type from storage_blob where plugin = $1 order by org, sha256',
    [plugin],
  );
  for (const { org, sha256, size, type } of blobs) {
    const found = await service.blobs(plugin).get(org, sha256);
    if (!found) continue;
    summary.blobs++;
    yield line({ blob: { org, sha256, size: Number(size), type } });
    for await (const chunk of found.content) yield line({ bytes: chunk.toString('base64') });
  }
  yield line({ end: true, ...summary });
}

const line = (value: object): string => `${JSON.stringify(value)}\n`;

async function* documentsOf(database: Database, id: number): AsyncGenerator<string> {
  let last = ['', ''];
  for (;;) {
    const rows = await database.query<{ org: string; id: string; version: number; doc: string }>(
      `select org, id, version, doc::text as doc from plugin_data.c${id} where (org, id) > ($1::text, $2::text) order by org, id limit ${STEP}`,
      last,
    );
    for (const row of rows)
      yield `{"org":${JSON.stringify(row.org)},"id":${JSON.stringify(row.id)},"version":${row.version},"doc":${row.doc}}\n`;
    const end = rows.at(-1);
    if (!end) return;
    last = [end.org, end.id];
  }
}

/** Adds what was exported; documents of the same id are replaced. Throws IMPORT_INVALID at the first line that is wrong. */
export async function importPlugin(
  service: StorageService,
  plugin: string,
  source: AsyncIterable<Uint8Array>,
): Promise<TransferSummary> {
  const importer = new Importer(service, plugin);
  for await (const text of toLines(source)) await importer.take(text);
  return importer.finish();
}

type Kind = 'head' | 'collection' | 'document' | 'blob' | 'bytes' | 'end';

const KINDS: Record<Kind, ReturnType<typeof Compile>> = {
  head: Compile(Head),
  collection: Compile(CollectionLine),
  document: Compile(DocumentLine),
  blob: Compile(BlobLine),
  bytes: Compile(BytesLine),
  end: Compile(EndLine),
};

class Importer {
  readonly #summary: TransferSummary = { documents: 0, blobs: 0 };
  #state: 'new' | 'open' | 'ended' = 'new';
  #collection: string | undefined;
  #pending: { org: string; id: string; version: number; json: string; size: number }[] = [];
  #blob: { info: { org: string; sha256: string; size: number; type: string }; chunks: Buffer[] } | undefined;

  constructor(
    private readonly service: StorageService,
    private readonly plugin: string,
  ) {}

  async take(text: string): Promise<void> {
    const value = parse(text);
    const kind = (Object.keys(KINDS) as Kind[]).find((one) => KINDS[one].Check(value));
    if (!kind || (kind === 'head') !== (this.#state === 'new'))
      throw invalid('a line is of an unknown kind, or out of place');
    if (kind === 'bytes') return this.#takeBytes((value as { bytes: string }).bytes);
    await this.#storeBlob();
    if (kind === 'document') return this.#takeDocument(value as never);
    await this.#storeDocuments();
    if (kind === 'head') this.#state = 'open';
    else if (kind === 'collection') this.#collection = (value as { collection: string }).collection;
    else if (kind === 'blob') this.#blob = { info: (value as { blob: never }).blob, chunks: [] };
    else {
      const { documents, blobs } = value as unknown as TransferSummary;
      if (documents !== this.#summary.documents || blobs !== this.#summary.blobs)
        throw invalid('some of it is missing');
      this.#state = 'ended';
    }
  }

  finish(): TransferSummary {
    if (this.#state !== 'ended') throw invalid('its end is missing');
    return this.#summary;
  }

  #takeBytes(base64: string): void {
    if (!this.#blob) throw invalid('bytes without a blob');
    this.#blob.chunks.push(Buffer.from(base64, 'base64'));
  }

  async #takeDocument({
    org,
    id,
    version,
    doc,
  }: {
    org: string;
    id: string;
    version: number;
    doc: Record<string, unknown>;
  }): Promise<void> {
    if (this.#collection === undefined) throw invalid('a document without a collection');
    this.#pending.push({ org, id: checkId(id), version, ...toJson(doc, this.service.maxDocumentBytes) });
    this.#summary.documents++;
    if (this.#pending.length >= STEP) await this.#storeDocuments();
  }

  async #storeDocuments(): Promise<void> {
    const rows = this.#pending;
    this.#pending = [];
    if (rows.length === 0) return;
    const table = await this.service.openStored(this.plugin, this.#collection!);
    const names = table.derived.map(({ name }) => `, ${identifier(name)}`).join('');
    const expressions = table.derived.map(({ expression }) => `, ${expression}`).join('');
    const updates = ['version', 'size', 'doc', ...table.derived.map(({ name }) => identifier(name))].map(
      (name) => `${name} = excluded.${name}`,
    );
    const bytes = rows.reduce((sum, { size }) => sum + size, 0);
    await this.service.withQuota(this.plugin, rows.length, bytes, () =>
      this.service.database.query(
        `insert into ${table.name} (org, id, version, size, doc${names})
         select org, id, version, size, doc${expressions} from (
           select org, id, version, size, json::jsonb as doc
           from unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::text[]) as given (org, id, version, size, json) offset 0) as documents
         on conflict (org, id) do update set ${updates.join(', ')}`,
        (['org', 'id', 'version', 'size', 'json'] as const).map((key) => rows.map((row) => row[key])),
      ),
    );
  }

  async #storeBlob(): Promise<void> {
    const blob = this.#blob;
    if (!blob) return;
    this.#blob = undefined;
    const { org, sha256, type } = blob.info;
    const stored = await this.service.blobs(this.plugin).put(org, each(blob.chunks), type);
    this.#summary.blobs++;
    if (stored.sha256 === sha256) return;
    await this.#discard(this.service.blobs(this.plugin), org, stored.sha256);
    throw invalid(`the blob ${sha256} has another content`);
  }

  async #discard(blobs: Blobs, org: string, sha256: string): Promise<void> {
    await blobs.delete(org, sha256);
  }
}

async function* each(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw invalid('a line is no JSON');
  }
}

async function* toLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest = Buffer.alloc(0);
  for await (const chunk of source) {
    rest = Buffer.concat([rest, chunk]);
    let from = 0;
    for (let end = rest.indexOf(10, from); end >= 0; end = rest.indexOf(10, from)) {
      if (end > from) yield rest.toString('utf8', from, end);
      from = end + 1;
    }
    rest = rest.subarray(from);
    if (rest.length > MAX_LINE) throw invalid('a line is too long');
  }
  if (rest.length > 0) yield rest.toString('utf8');
}

function invalid(why: string): AtollError {
  return new AtollError('IMPORT_INVALID', `The import stopped: ${why}.`);
}
