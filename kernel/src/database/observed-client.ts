import pg from 'pg';
import { PreparedStatements } from './prepared-statements.js';

/** Called when a statement is answered. The text may hold literals. */
export type QueryObserver = (sql: string, ms: number, failed: boolean) => void;

/** A client of the pool, as `observedClient` makes them. */
export interface ObservedClient extends pg.PoolClient {
  /** Runs a statement that may come again and again: then it is prepared, and anew when its tables have changed. */
  repeated<Row extends object>(sql: string, parameters: readonly unknown[]): Promise<pg.QueryResult<Row>>;
}

/**
 * A rollback fails only when the connection is lost, and then the server rolls back by itself. Kysely gives a connection back to the
 * pool only after a rollback that did not fail.
 */
const UNDONE = { rows: [], rowCount: 0, command: 'ROLLBACK', fields: [], oid: 0 };

/** What a server says of a prepared statement that no longer fits its tables, or that it does not know any more. */
const STALE = new Set(['0A000', '26000']);

/** A class of driver clients that tell how long each statement took, from when it was sent to its answer. */
export function observedClient(observe: QueryObserver): typeof pg.Client {
  return class extends pg.Client {
    readonly #prepared = new PreparedStatements();

    // biome-ignore lint/suspicious/noExplicitAny: the driver's method has a dozen overloads, all of which are passed through.
    override query(...args: any[]): any {
      const began = performance.now();
      const result = Reflect.apply(super.query, this, args) as unknown;
      if (!(result instanceof Promise)) return result;
      const text = textOf(args[0]);
      const done = (failed: boolean) => observe(text, performance.now() - began, failed);
      result.then(
        () => done(false),
        () => done(true),
      );
      return text === 'rollback' ? result.catch(() => UNDONE) : result;
    }

    async repeated(sql: string, parameters: readonly unknown[]): Promise<pg.QueryResult> {
      // What has no parameters may be several statements, or one that can't be prepared.
      const name = parameters.length === 0 ? undefined : this.#prepared.nameOf(sql);
      const values = parameters as unknown[];
      for (const old of this.#prepared.takeGivenUp()) await super.query(`deallocate ${old}`);
      if (name === undefined) return this.query(sql, values);
      try {
        return await this.query({ name, text: sql, values });
      } catch (error) {
        if (!STALE.has((error as { code?: string }).code ?? '')) throw error;
        this.#prepared.forget(sql);
        return this.query(sql, values);
      }
    }
  };
}

function textOf(query: unknown): string {
  return typeof query === 'string' ? query : String((query as { text?: unknown } | undefined)?.text ?? '');
}
