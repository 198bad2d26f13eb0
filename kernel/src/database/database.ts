import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { CompiledQuery } from 'kysely';
import type pg from 'pg';
import type { Config } from '../config/index.js';
import type { Logger } from '../telemetry/logger.js';
import type { Metrics } from '../telemetry/metrics.js';
import { connect, EMBEDDED_POOL, type Orm } from './connect.js';
import { EmbeddedServer } from './embedded/server.js';
import type { EntityManager } from './entity-manager.js';
import { isUnavailable, toDatabaseError } from './errors.js';
import { withoutLiterals } from './literals.js';
import { tendEmbedded } from './maintenance.js';
import { Migrations } from './migrate.js';
import type { NamedMigration } from './migrations/index.js';
import type { ObservedClient } from './observed-client.js';
import { assertOutsideTransaction, currentScope, runInScope, type TransactionScope } from './transaction-scope.js';

export interface DatabaseOptions {
  config: Config['database'];
  /** Folder of the embedded database; absent: in memory. */
  dataDir?: string;
  log: Logger;
  metrics: Metrics;
  /** Instead of the kernel's own; for tests. */
  migrations?: readonly NamedMigration[];
  /** Leaves the schema as it is. */
  migrate?: boolean;
  /** The embedded database ended for good. */
  onFatal?: (error: AtollError) => void;
}

export interface TransactionOptions {
  /** After this the transaction is rolled back, in ms. */
  timeoutMs?: number;
  isolation?: 'read committed' | 'repeatable read' | 'serializable';
}

const PING_MS = 1_000;
const NEVER_MS = 2_147_483_647;

/**
 * The kernel's database: embedded or a PostgreSQL server. Opened once, early, and closed by the kernel; whoever asks before it is open
 * waits. Every method rejects with DATABASE_UNAVAILABLE, DATABASE_TIMEOUT, or the driver's exception for what the statement did.
 */
export class Database {
  readonly engine: 'embedded' | 'postgresql';
  #opening: Promise<void> | undefined;
  #orm: Orm | undefined;
  #pool: pg.Pool | undefined;
  #embedded: EmbeddedServer | undefined;
  #reachable = false;
  #closed = false;
  #ping: NodeJS.Timeout | undefined;
  #stopTending = () => {};
  readonly #clients = new Set<pg.PoolClient>();
  readonly #countQuery: (labels: Record<'outcome', string>) => void;
  readonly #observeQuery: (seconds: number) => void;

  constructor(private readonly options: DatabaseOptions) {
    const { metrics, config } = options;
    this.engine = config.url ? 'postgresql' : 'embedded';
    this.#countQuery = metrics.counter('database_queries_total', 'Statements, by outcome.', ['outcome']);
    const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
    this.#observeQuery = metrics.histogram('database_query_duration_seconds', 'Time of a statement.', buckets);
    metrics.gauge('database_up', 'Whether the database can be reached.', () => Number(this.#reachable));
    metrics.gauge('database_pool_connections', 'Open connections.', () => this.#pool?.totalCount ?? 0);
    metrics.gauge('database_pool_idle', 'Connections that nobody uses.', () => this.#pool?.idleCount ?? 0);
    metrics.gauge('database_pool_waiting', 'Callers that wait for a connection.', () => this.#pool?.waitingCount ?? 0);
  }

  /** Opens and migrates; later calls wait for the first one. Rejects with an AtollError that says what to do. */
  open(): Promise<void> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  /** How many statements can be under way at once. */
  get connections(): number {
    return this.engine === 'embedded' ? EMBEDDED_POOL : this.options.config.poolMax;
  }

  /** Whether it answers now. */
  get reachable(): boolean {
    return this.#reachable;
  }

  /** Work with entities outside of a transaction; within one, as part of it. The entity manager is for this work only. */
  async read<T>(work: (em: EntityManager) => Promise<T>): Promise<T> {
    const scope = this.#scope();
    if (scope) return work(scope.em);
    const orm = await this.#ready();
    return this.#guarded(() => work(orm.em.fork()));
  }

  /**
   * A transaction: committed when the work resolves, rolled back when it rejects, takes too long, or begins a network call. Within
   * another one it is part of that. Keep it short: in the embedded database everybody else waits.
   */
  async transaction<T>(work: (em: EntityManager) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const scope = this.#scope();
    if (scope) return work(scope.em);
    const orm = await this.#ready();
    return this.#guarded(() => this.#transact(orm, work, options));
  }

  /** One statement with `$1` parameters; part of the transaction that the caller is in. */
  async query<Row extends object = Record<string, unknown>>(
    sql: string,
    parameters: readonly unknown[] = [],
  ): Promise<Row[]> {
    const scope = this.#scope();
    if (scope) {
      const compiled = CompiledQuery.raw(sql, [...parameters]);
      return (await scope.em.getKysely().executeQuery(compiled)).rows as Row[];
    }
    await this.#ready();
    return this.#guarded(() => this.#once<Row>(sql, parameters));
  }

  /** A statement that may take as long as it needs, such as building an index. Not within a transaction. */
  async unlimited(sql: string): Promise<void> {
    assertOutsideTransaction('A statement without a time limit');
    await this.#ready();
    await this.#guarded(async () => {
      const client = await this.#pool!.connect();
      try {
        if (this.engine === 'postgresql') await client.query('set statement_timeout = 0');
        await client.query({ text: sql, query_timeout: NEVER_MS } as pg.QueryConfig);
        if (this.engine === 'postgresql') await client.query('reset statement_timeout');
        client.release();
      } catch (error) {
        // Its settings are not known any more.
        client.release(true);
        throw error;
      }
    });
  }

  /** Migrations of an open database. */
  async migrations(): Promise<Migrations> {
    const orm = await this.#ready();
    return new Migrations(orm, this.engine === 'postgresql' ? this.#pool : undefined);
  }

  /** The server's processes behind the open connections. */
  async connectionPids(): Promise<number[]> {
    await this.#ready();
    return [...this.#clients].map((client) => (client as unknown as { processID: number }).processID);
  }

  /** For libraries that bring their own PostgreSQL client: how to connect. */
  get connectionOptions(): pg.ClientConfig {
    const embedded = this.#embedded;
    return this.engine === 'embedded'
      ? { host: 'embedded', user: 'postgres', database: 'postgres', stream: () => embedded!.socket() }
      : { connectionString: this.options.config.url! };
  }

  /** Ends the embedded database's thread as a crash would; for tests. */
  async crashEmbedded(): Promise<void> {
    await this.#embedded?.crash();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#ping);
    this.#stopTending();
    await this.#opening?.catch(() => {});
    this.#reachable = false;
    await this.#orm?.close(true);
    await this.#embedded?.close();
  }

  async #open(): Promise<void> {
    try {
      if (this.engine === 'embedded') await this.#startEmbedded();
      this.#orm = await this.#connect();
      await this.#assertReachable(this.#orm);
      this.#reachable = true;
      if (this.options.migrate !== false) await this.#migrate(this.#orm);
      this.#watch();
      if (this.engine === 'embedded') this.#stopTending = tendEmbedded(this, this.options.log);
    } catch (error) {
      this.#closed = true;
      await this.#orm?.close(true).catch(() => {});
      await this.#embedded?.close();
      throw error instanceof AtollError ? error : toDatabaseError(error);
    }
  }

  async #startEmbedded(): Promise<void> {
    const { config, dataDir, log, migrate, migrations, onFatal } = this.options;
    this.#embedded = new EmbeddedServer({
      ...(dataDir !== undefined && { dataDir: path.resolve(dataDir) }),
      template: migrate === false || migrations ? 'empty' : 'migrated',
      idleTransactionMs: config.idleTransactionMs,
      onLost: (reason, final) => {
        this.#reachable = false;
        log.error({ reason, final }, 'the embedded database ended');
        if (final) onFatal?.(new AtollError('DATABASE_UNAVAILABLE', `The embedded database ended: ${reason}`));
      },
    });
    await this.#embedded.start();
  }

  #connect(): Promise<Orm> {
    const { config, log, migrations } = this.options;
    return connect({
      config,
      ...(this.#embedded && { embedded: this.#embedded }),
      ...(migrations && { migrations }),
      observe: (sql, ms, failed) => this.#observe(sql, ms, failed),
      onPool: (pool) => {
        this.#pool = pool;
        pool.on('connect', (client) => this.#clients.add(client));
        pool.on('remove', (client) => this.#clients.delete(client));
      },
      onWarning: (message) => log.debug({ message: withoutLiterals(message) }, 'database'),
    });
  }

  async #assertReachable(orm: Orm): Promise<void> {
    try {
      await orm.connect();
      await this.#pool!.query('select 1');
    } catch (error) {
      const reason = error instanceof Error ? error.message || (error as { code?: string }).code : String(error);
      throw new AtollError('DATABASE_UNAVAILABLE', `The database does not answer: ${reason}.`, {}, { cause: error });
    }
  }

  async #migrate(orm: Orm): Promise<void> {
    const applied = await new Migrations(orm, this.engine === 'postgresql' ? this.#pool : undefined).up();
    if (applied.length > 0) this.options.log.info({ migrations: applied }, 'database migrated');
  }

  /** Asks now and then whether it is there: what depends on it can be told before anyone has to fail. */
  #watch(): void {
    let asking = false;
    this.#ping = setInterval(() => {
      // A busy embedded database answers late and is there all the same.
      if (asking || (this.#embedded?.running && this.#reachable)) return;
      asking = true;
      this.#pool!.query('select 1')
        .then(
          () => this.#setReachable(true),
          (error) => isUnavailable(error) && this.#setReachable(false),
        )
        .finally(() => {
          asking = false;
        });
    }, PING_MS);
    this.#ping.unref();
  }

  #setReachable(reachable: boolean): void {
    if (this.#closed || this.#reachable === reachable) return;
    this.#reachable = reachable;
    this.options.log[reachable ? 'info' : 'error'](reachable ? 'the database is back' : 'the database is lost');
  }

  #observe(sql: string, ms: number, failed: boolean): void {
    this.#countQuery({ outcome: failed ? 'failed' : 'ok' });
    this.#observeQuery(ms / 1000);
    if (ms >= this.options.config.slowQueryMs)
      this.options.log.warn({ sql: withoutLiterals(sql), ms: Math.round(ms), failed }, 'slow query');
  }

  async #ready(): Promise<Orm> {
    if (!this.#opening) throw new AtollError('INTERNAL', 'The database has not been opened.');
    await this.#opening;
    if (this.#closed) throw new AtollError('SHUTTING_DOWN', 'The database is closed.');
    return this.#orm!;
  }

  #scope(): TransactionScope | undefined {
    const scope = currentScope();
    if (scope?.ended) throw new AtollError('INTERNAL', 'The database transaction that this belongs to is over.');
    return scope;
  }

  async #once<Row extends object>(sql: string, parameters: readonly unknown[]): Promise<Row[]> {
    const client = (await this.#pool!.connect()) as ObservedClient;
    try {
      return (await client.repeated<Row>(sql, parameters)).rows;
    } finally {
      client.release();
    }
  }

  async #guarded<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (isUnavailable(error)) this.#setReachable(false);
      throw toDatabaseError(error);
    }
  }

  async #transact<T>(orm: Orm, work: (em: EntityManager) => Promise<T>, options: TransactionOptions): Promise<T> {
    const { timeoutMs = this.options.config.transactionTimeoutMs, isolation } = options;
    const committed: (() => void)[] = [];
    const run = (em: EntityManager) => {
      const scope: TransactionScope = { em, ended: false, committed };
      return limited(timeoutMs, () =>
        runInScope(scope, () => work(em).then((result) => settle(scope, em, result))),
      ).finally(() => {
        scope.ended = true;
      });
    };
    const result = await orm.em.fork().transactional((em) => run(em), {
      ...(isolation && { isolationLevel: isolation as never }),
    });
    for (const done of committed) done();
    return result;
  }
}

/** What is still unwritten belongs to the transaction; and whatever it did that it must not, undoes it. */
async function settle<T>(scope: TransactionScope, em: EntityManager, result: T): Promise<T> {
  await em.flush();
  if (scope.violation) throw new AtollError('INTERNAL', `${scope.violation} was begun within a database transaction.`);
  return result;
}

async function limited<T>(timeoutMs: number, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    const error = new AtollError(
      'DATABASE_TIMEOUT',
      `The transaction took longer than ${timeoutMs} ms and was rolled back.`,
    );
    timer = setTimeout(() => reject(error), timeoutMs);
  });
  try {
    return await Promise.race([work(), limit]);
  } finally {
    clearTimeout(timer);
  }
}
