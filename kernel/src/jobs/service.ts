import { AtollError } from '@atoll/plugin-sdk/contract';
import type { PgBoss } from 'pg-boss';
import type { Config } from '../config/index.js';
import { type Database, LeaseClock, outsideTransaction } from '../database/index.js';
import type { EventBus } from '../events/index.js';
import type { Logger } from '../telemetry/logger.js';
import { inTransaction, startBoss } from './boss.js';
import { announcer, type Announce, type RecordEvent } from './events.js';
import { findJob, type JobPage, type JobQuery, type JobView, listJobs } from './job-view.js';
import { handBack, INDEXES, LEASE_SECONDS, MAX_LOST, type Orphan, renewLeases, takeOver } from './leases.js';
import { catchUpWithClock } from './set-clock.js';
import { type Priority, priorityNumber } from './priority.js';
import {
  type Claim,
  type Envelope,
  type JobDefinition,
  type JobState,
  type JobWork,
  MAX_RETRY_DELAY,
  queueOf,
  splitQueue,
} from './types.js';
import { type Run, Worker } from './worker.js';

export interface SendRequest {
  org: string;
  data: unknown;
  priority?: Priority;
  delayMs?: number;
  key?: string;
  retries?: number;
}

/** How often the queues are asked (a job that is sent here is seen at once), and the leases renewed. */
const POLL_MS = 1_000;
const BEAT_MS = 2_000;
/** Jobs that wait for a plugin that does not run are kept for a year. */
const WAITING_SECONDS = 31_536_000;
/** The plugin's own time limit comes first. This is the queue's, for what escapes it: by the system clock, which may be set meanwhile. */
const EXPIRY_SECONDS = 86_400;
const NO_JOB = '00000000-0000-0000-0000-000000000000';
const CLOSE_MS = 5_000;
const OVER = new Set<JobState>(['completed', 'failed', 'cancelled']);

/** Jobs of plugins, in the kernel's database. Starts when it is first needed. */
export class JobService {
  readonly #workers = new Set<Worker>();
  readonly #runs = new Map<string, Run>();
  readonly #announce: Announce;
  readonly #record: RecordEvent;
  readonly #timers: NodeJS.Timeout[] = [];
  #opening: Promise<PgBoss> | undefined;
  /** Schedules are changed one after the other: a swap takes one away and puts it back. */
  #scheduling: Promise<unknown> = Promise.resolve();
  #beating = false;
  readonly #clock: LeaseClock;
  #closed = false;

  constructor(
    private readonly database: Database,
    private readonly events: EventBus,
    private readonly limits: Config['jobs'],
    private readonly log: Logger,
  ) {
    this.#clock = new LeaseClock(database);
    const { announce, record } = announcer(events);
    this.#announce = announce;
    this.#record = record;
  }

  /** Makes the queue of a definition; `expression` and time zone of a schedule are checked. */
  async prepare({ plugin, name, schedule }: JobDefinition): Promise<void> {
    const boss = await this.#boss();
    if (schedule) checkSchedule(boss, schedule);
    const queue = queueOf(plugin, name);
    await boss.createQueue(queue, { deleteAfterSeconds: this.limits.keepSeconds });
    // The library looks a queue up when it first needs it, by its own connection: within a transaction that would wait for ever.
    await boss.findJobs(queue, { id: NO_JOB });
  }

  /** Begins to do the jobs of a definition. The returned function takes no more; what has begun goes on. */
  work(definition: JobDefinition, work: JobWork): () => void {
    const queue = queueOf(definition.plugin, definition.name);
    const worker = new Worker(queue, definition, work, {
      claim: (name, limit) => this.#claim(name, limit),
      begun: (run) => void this.#runs.set(run.id, run),
      completed: (run, result) => this.#completed(run, result),
      failed: (run, error) => this.#failed(run, error),
      interrupted: (run, lost, error) => this.#interrupted(run, lost, error),
      ended: (run) => this.#runs.delete(run.id),
      problem: (error) => this.#closed || this.log.warn({ queue, err: error }, 'a job queue could not be worked at'),
    });
    this.#workers.add(worker);
    if (definition.schedule) this.#schedule(queue, definition);
    worker.wake();
    return () => {
      worker.stop();
      void worker.idle().finally(() => this.#workers.delete(worker));
      if (definition.schedule && !this.#closed) this.#schedule(queue, undefined);
    };
  }

  /**
   * Stores a job, as part of the transaction that the caller is in; resolves with its id. Throws VALIDATION_FAILED for data that does not
   * match, BODY_TOO_LARGE, or OVERLOADED when the plugin has too many waiting.
   */
  async send(definition: JobDefinition, request: SendRequest): Promise<string> {
    const { plugin, name } = definition;
    const { org, priority = 'NORMAL', delayMs = 0, key, retries = definition.retries } = request;
    const boss = await this.#boss();
    const data = this.#checked(definition, request.data);
    await this.#assertRoom(plugin);
    const envelope: Envelope = { org, priority, data, ...(key !== undefined && { key }) };
    const id = await this.events.together(async () => {
      const sent = await boss.send(queueOf(plugin, name), envelope, {
        priority: priorityNumber(priority, this.limits.agingSeconds, Date.now() + delayMs),
        ...(delayMs > 0 && { startAfter: delayMs / 1000 }),
        ...(key !== undefined && { group: { id: `${org}:${key}` } }),
        ...tryOptions(retries),
        ...this.#own(),
      });
      if (!sent) throw new AtollError('INTERNAL', 'The queue did not take the job.');
      await this.#record('job.queued', { id: sent, plugin, name, organisation: org });
      return sent;
    });
    // The worker's statements are no part of the sender's transaction; what that commits later is found a moment later.
    outsideTransaction(() => this.#wake(queueOf(plugin, name)));
    return id;
  }

  /** With an organisation, a job of another one is not found; so for all that take one. */
  async get(id: string, org?: string): Promise<JobView> {
    return (await this.#find(id, org)).view;
  }

  async list(query: JobQuery): Promise<JobPage> {
    await this.#boss();
    return listJobs(this.database, query);
  }

  /** Ends a job that has not ended; the handler of one that runs is told. Throws CONFLICT for one that has. */
  async cancel(id: string, org?: string): Promise<JobView> {
    const { queue, view: before } = await this.#find(id, org);
    if (OVER.has(before.state)) throw new AtollError('CONFLICT', `The job is ${before.state}.`);
    const boss = await this.#boss();
    const view = await this.events.together(async () => {
      const response = await boss.cancel(queue, id, this.#own());
      const { view: after } = await this.#find(id);
      if (after.state !== 'cancelled') throw new AtollError('CONFLICT', `The job is ${after.state}.`);
      // Who came second has changed nothing.
      if (affected(response)) await this.#record('job.cancelled', brief(after));
      return after;
    });
    this.#forsake(id, 'The job was cancelled.');
    return view;
  }

  /** Has a job that failed or was cancelled done again. Throws CONFLICT for any other. */
  async replay(id: string, org?: string): Promise<JobView> {
    const { queue, view: before } = await this.#find(id, org);
    await this.events.together(() => this.#again(queue, before));
    this.#wake(queue);
    return (await this.#find(id)).view;
  }

  async #again(queue: string, before: JobView): Promise<void> {
    const rows = await this.database.query(
      `update pgboss.job set state = 'retry', retry_limit = retry_limit + 1, completed_on = null, output = null,
              start_after = now(), keep_until = now() + interval '${WAITING_SECONDS} seconds', data = data - 'lost'
        where name = $1 and id = $2 and state in ('failed', 'cancelled') returning id`,
      [queue, before.id],
    );
    if (rows.length === 0) throw new AtollError('CONFLICT', `The job is ${before.state}.`);
    await this.#record('job.queued', brief(before));
  }

  /** What a handler says about its job. Of one that is not (any longer) that plugin's it means nothing. */
  progress(plugin: string, id: string, attempt: number, fraction: number): void {
    const run = this.#runs.get(id);
    if (!run || run.definition.plugin !== plugin || run.attempt !== attempt - 1 || run.forsaken) return;
    run.progress = fraction;
    this.#announce('job.progress', { ...ofClaim(run), progress: fraction });
  }

  /** Takes no more jobs, and gives back those that are not done by themselves soon. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const worker of this.#workers) worker.stop();
    const boss = await this.#opening?.catch(() => undefined);
    const idle = Promise.all([...this.#workers].map((worker) => worker.idle()));
    await Promise.race([idle, new Promise((resolve) => setTimeout(resolve, CLOSE_MS).unref())]);
    await this.#scheduling.catch(() => {});
    await boss?.stop({ graceful: false, close: true });
  }

  #boss(): Promise<PgBoss> {
    if (this.#closed) return Promise.reject(new AtollError('SHUTTING_DOWN'));
    this.#opening ??= outsideTransaction(() => this.#open()).catch((error) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  async #open(): Promise<PgBoss> {
    await this.database.open();
    const boss = await startBoss(this.database, this.log);
    for (const sql of INDEXES) await this.database.query(sql);
    // From here on it is noticed when the clock is set.
    await this.#clock.read();
    this.#timers.push(
      setInterval(() => this.#poll(), POLL_MS).unref(),
      setInterval(() => void this.#beat(), BEAT_MS).unref(),
    );
    return boss;
  }

  async #claim(queue: string, limit: number): Promise<Claim[]> {
    const boss = await this.#boss();
    const options = { batchSize: limit, groupConcurrency: 1, ...this.#own() };
    const fetch = async () => {
      const jobs = await boss.fetch<Envelope>(queue, options);
      const claims = (jobs as ((typeof jobs)[number] & { retryCount: number })[]).map(
        ({ id, data, retryCount }): Claim => ({ queue, id, data, attempt: retryCount }),
      );
      for (const claim of claims) await this.#record('job.started', ofClaim(claim));
      return claims;
    };
    return this.database.engine === 'embedded' ? fetch() : this.#alone(queue, fetch);
  }

  /** Two kernels that claim at the same time would not see each other's keys. */
  #alone<T>(queue: string, claim: () => Promise<T>): Promise<T> {
    return this.database.transaction(async () => {
      await this.database.query('select pg_advisory_xact_lock(7070002, hashtext($1))', [queue]);
      return claim();
    });
  }

  async #completed(run: Run, result: unknown): Promise<void> {
    const text = JSON.stringify(result ?? null);
    if (Buffer.byteLength(text) > this.limits.maxDataBytes)
      return this.#failed(
        run,
        new AtollError('BODY_TOO_LARGE', `The result has more than ${this.limits.maxDataBytes} bytes.`),
      );
    const boss = await this.#boss();
    await this.events.together(async () => {
      const response = await boss.complete(run.queue, token(run), { result: result ?? null }, this.#own());
      if (affected(response)) await this.#record('job.completed', ofClaim(run));
    });
  }

  async #failed(run: Run, error: AtollError): Promise<void> {
    await this.#fail(token(run), run.queue, error);
  }

  async #fail(claim: { id: string; retryCount: number }, queue: string, { code, message }: AtollError): Promise<void> {
    const boss = await this.#boss();
    await this.events.together(async () => {
      const response = await boss.fail(queue, claim, { error: { code, message } }, this.#own());
      if (!affected(response)) return;
      const { view } = await this.#find(claim.id);
      const topic = view.state === 'failed' ? 'job.failed' : 'job.retrying';
      await this.#record(topic, { ...brief(view), error: { code, message } });
    });
  }

  async #interrupted(run: Run, lost: boolean, error: AtollError): Promise<void> {
    if (lost && (run.data.lost ?? 0) >= MAX_LOST) return this.#failed(run, error);
    await this.events.together(async () => {
      if (await handBack(this.database, run, lost)) await this.#record('job.retrying', ofClaim(run));
    });
    this.#wake(run.queue);
  }

  /** By the kernel's own connections, which take part in the caller's transaction. */
  #own() {
    return { db: inTransaction(this.database) };
  }

  async #beat(): Promise<void> {
    if (this.#beating || this.#closed) return;
    this.#beating = true;
    try {
      const runs = [...this.#runs.values()];
      const now = performance.now();
      const ours = runs.length > 0 ? await renewLeases(this.database, runs) : new Set<string>();
      for (const run of runs) {
        if (ours.has(run.id)) run.renewedAt = now;
        else this.#forsake(run.id, 'The job was cancelled or taken over.');
      }
      const { now: leaseNow, unsettled } = await this.#clock.read();
      if (unsettled) await catchUpWithClock(this.database);
      if (this.#workers.size > 0)
        for (const orphan of await takeOver(this.database, leaseNow)) await this.#adopt(orphan);
    } catch (error) {
      if (!this.#closed) this.log.warn({ err: error }, 'leases of jobs could not be renewed');
    } finally {
      this.#beating = false;
    }
  }

  async #adopt({ name: queue, id, attempt, again }: Orphan): Promise<void> {
    const error = new AtollError('PLUGIN_CRASHED', 'The process ended under the job, several times.');
    if (!again) return this.#fail({ id, retryCount: attempt }, queue, error);
    this.log.warn({ id, ...splitQueue(queue) }, 'a job of a process that is gone is done again');
    this.#wake(queue);
  }

  /** Its run no longer counts. */
  #forsake(id: string, why: string): void {
    const run = this.#runs.get(id);
    if (!run || run.forsaken) return;
    run.forsaken = true;
    run.controller.abort(new AtollError('CANCELLED', why));
  }

  #wake(queue: string): void {
    for (const worker of this.#workers) if (worker.queue === queue) worker.wake();
  }

  #poll(): void {
    // When the server has not been reached for so long, another kernel may be at the job already.
    const stale = performance.now() - LEASE_SECONDS * 1000 + POLL_MS;
    if (this.database.engine === 'postgresql')
      for (const { id, renewedAt } of this.#runs.values()) if (renewedAt < stale) this.#forsake(id, 'Its lease ended.');
    for (const worker of this.#workers) worker.wake();
  }

  #schedule(queue: string, definition: JobDefinition | undefined): void {
    const change = async () => {
      const boss = await this.#boss();
      if (!definition?.schedule) return boss.unschedule(queue);
      const envelope: Envelope = { org: 'default', priority: 'NORMAL', data: null };
      const { expression, timeZone } = definition.schedule;
      await boss.schedule(queue, expression, envelope, { tz: timeZone, ...tryOptions(definition.retries) });
    };
    this.#scheduling = this.#scheduling.then(change).catch((error) => {
      if (!this.#closed) this.log.error({ queue, err: error }, 'a schedule could not be changed');
    });
  }

  async #find(id: string, org?: string): Promise<{ queue: string; view: JobView }> {
    await this.#boss();
    const found = await findJob(this.database, id);
    if (!found || (org !== undefined && found.view.organisation !== org))
      throw new AtollError('NOT_FOUND', `There is no job "${id}".`);
    return found;
  }

  #checked({ name, input }: JobDefinition, data: unknown): unknown {
    const value = input?.hasDefaults ? input.parse(data) : data;
    const errors = input && !input.check(value) ? input.errors(value) : [];
    if (errors.length > 0)
      throw new AtollError('VALIDATION_FAILED', `The data does not match the input of the job "${name}".`, { errors });
    if (Buffer.byteLength(JSON.stringify(value ?? null)) > this.limits.maxDataBytes)
      throw new AtollError('BODY_TOO_LARGE', `A job's data may have ${this.limits.maxDataBytes} bytes.`);
    return value ?? null;
  }

  async #assertRoom(plugin: string): Promise<void> {
    const { maxWaiting } = this.limits;
    const [row] = await this.database.query<{ n: string }>(
      `select count(*) as n from (select 1 from pgboss.job where state < 'active' and name like $1 limit $2) as waiting`,
      [`${plugin}/%`, maxWaiting],
    );
    if (Number(row?.n) >= maxWaiting)
      throw new AtollError('OVERLOADED', `The plugin has ${maxWaiting} jobs waiting.`, { retryAfter: 10 });
  }
}

/** Whether the job was still ours. The library's types leave the answer empty. */
const affected = (response: object): boolean => ((response as { affected?: number }).affected ?? 0) > 0;

const token = ({ id, attempt }: Run) => ({ id, retryCount: attempt });

const ofClaim = ({ id, queue, data, attempt }: Claim) => ({
  id,
  ...splitQueue(queue),
  organisation: data.org,
  attempt: attempt + 1,
});

const brief = ({ id, plugin, name, organisation }: JobView) => ({ id, plugin, name, organisation });

function tryOptions(retries: number) {
  return {
    retryLimit: retries,
    retryDelay: 1,
    retryBackoff: true,
    retryDelayMax: MAX_RETRY_DELAY,
    retentionSeconds: WAITING_SECONDS,
    expireInSeconds: EXPIRY_SECONDS,
  };
}

function checkSchedule(boss: PgBoss, { expression, timeZone }: NonNullable<JobDefinition['schedule']>): void {
  try {
    if (expression.trim().split(/\s+/).length !== 5) throw new Error('it has to have five fields');
    boss.previewSchedule(expression, { tz: timeZone });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AtollError('VALIDATION_FAILED', `"${expression}" (${timeZone}) is no schedule: ${reason}`);
  }
}
