import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Database } from '../database/index.js';
import { type Envelope, type JobState, splitQueue } from './types.js';

/** A job as the API shows it. */
export interface JobView {
  id: string;
  plugin: string;
  name: string;
  state: JobState;
  organisation: string;
  priority: string;
  key?: string;
  /** Starts so far. */
  attempts: number;
  createdAt: string;
  /** When it may start at the earliest. */
  dueAt: string;
  startedAt?: string;
  finishedAt?: string;
  /** From 0 to 1, while it runs. */
  progress?: number;
  /** When it will be done if it goes on as it did so far. */
  estimatedEnd?: string;
  error?: { code: string; message: string };
  data?: unknown;
  result?: unknown;
}

export interface JobQuery {
  limit: number;
  cursor?: string;
  plugin?: string;
  name?: string;
  state?: JobState;
  organisation?: string;
}

export interface JobPage {
  items: JobView[];
  nextCursor?: string;
}

interface Row {
  id: string;
  name: string;
  state: JobState;
  created: string;
  /** Times are epoch ms. */
  created_ms: number;
  due_ms: number;
  started_ms: number | null;
  completed_ms: number | null;
  retry_count: number;
  envelope: Envelope;
  output: { result?: unknown; error?: { code: string; message: string }; progress?: number } | null;
}

const STATE = `case state when 'created' then case when start_after > now() then 'delayed' else 'queued' end
  when 'retry' then 'retrying' when 'active' then 'running' else state::text end`;

const ms = (column: string, name: string) => `(extract(epoch from ${column}) * 1000)::float8 as ${name}`;
const TIMES = [
  ms('created_on', 'created_ms'),
  ms('start_after', 'due_ms'),
  ms('started_on', 'started_ms'),
  ms('completed_on', 'completed_ms'),
];
const LISTED = `id, name, ${STATE} as state, created_on::text as created, ${TIMES.join(', ')}, retry_count`;
/** What the list shows of it: without the data and the result. */
const BRIEF = `${LISTED}, data - 'data' as envelope, output - 'result' as output`;
const WHOLE = `${LISTED}, data as envelope, output`;
/** The queue's own have no slash. */
const OURS = `name like '%/%'`;
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

export async function findJob(database: Database, id: string): Promise<{ queue: string; view: JobView } | undefined> {
  if (!UUID.test(id)) return undefined;
  const [row] = await database.query<Row>(`select ${WHOLE} from pgboss.job where id = $1 and ${OURS}`, [id]);
  return row && { queue: row.name, view: toView(row, true) };
}

/** The latest first. */
export async function listJobs(database: Database, query: JobQuery): Promise<JobPage> {
  const parameters: unknown[] = [query.limit + 1];
  const where = [OURS];
  const add = (sql: (n: string) => string, value: unknown) => {
    parameters.push(value);
    where.push(sql(`$${parameters.length}`));
  };
  if (query.plugin !== undefined) add((n) => `split_part(name, '/', 1) = ${n}`, query.plugin);
  if (query.name !== undefined) add((n) => `substring(name from position('/' in name) + 1) = ${n}`, query.name);
  if (query.organisation !== undefined) add((n) => `data->>'org' = ${n}`, query.organisation);
  if (query.state !== undefined) add((n) => `${STATE} = ${n}`, query.state);
  if (query.cursor !== undefined) {
    const [created, id] = readCursor(query.cursor);
    parameters.push(created, id);
    where.push(`(created_on, id) < ($${parameters.length - 1}::timestamptz, $${parameters.length}::uuid)`);
  }
  const rows = await database.query<Row>(
    `select ${BRIEF} from pgboss.job where ${where.join(' and ')} order by created_on desc, id desc limit $1`,
    parameters,
  );
  const page = rows.slice(0, query.limit);
  const last = rows.length > query.limit ? page.at(-1) : undefined;
  return {
    items: page.map((row) => toView(row, false)),
    ...(last && { nextCursor: Buffer.from(`${last.created}|${last.id}`).toString('base64url') }),
  };
}

function readCursor(cursor: string): [string, string] {
  const [created = '', id = ''] = Buffer.from(cursor, 'base64url').toString('utf8').split('|');
  if (!/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?[+-]\d\d(:\d\d)?$/.test(created) || !UUID.test(id))
    throw new AtollError('VALIDATION_FAILED', 'The cursor is none of this list.', {
      errors: [{ pointer: '/cursor', message: 'is no cursor' }],
    });
  return [created, id];
}

function toView(row: Row, whole: boolean): JobView {
  const { envelope, output, state } = row;
  const running = state === 'running';
  const progress = running ? output?.progress : undefined;
  return {
    id: row.id,
    ...splitQueue(row.name),
    state,
    organisation: envelope.org,
    priority: envelope.priority,
    ...(envelope.key !== undefined && { key: envelope.key }),
    attempts: row.started_ms === null ? 0 : row.retry_count + 1,
    createdAt: time(row.created_ms),
    dueAt: time(row.due_ms),
    ...(row.started_ms !== null && { startedAt: time(row.started_ms) }),
    ...(row.completed_ms !== null && { finishedAt: time(row.completed_ms) }),
    ...(progress !== undefined && { progress }),
    ...(progress && row.started_ms !== null && { estimatedEnd: estimatedEnd(row.started_ms, progress) }),
    ...(!running && output?.error && { error: output.error }),
    ...(whole && { data: envelope.data }),
    ...(whole && state === 'completed' && { result: output?.result ?? null }),
  };
}

const time = (ms: number): string => new Date(ms).toISOString();

function estimatedEnd(startedMs: number, progress: number): string {
  const now = Date.now();
  const elapsed = Math.max(0, now - startedMs);
  return time(now + (elapsed * (1 - progress)) / progress);
}
