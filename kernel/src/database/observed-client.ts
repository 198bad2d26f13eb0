import pg from 'pg';

/** Called when a statement is answered. The text may hold literals. */
export type QueryObserver = (sql: string, ms: number, failed: boolean) => void;

/**
 * A rollback fails only when the connection is lost, and then the server rolls back by itself. Kysely gives a connection back to the
 * pool only after a rollback that did not fail.
 */
const UNDONE = { rows: [], rowCount: 0, command: 'ROLLBACK', fields: [], oid: 0 };

/** A class of driver clients that tell how long each statement took, from when it was sent to its answer. */
export function observedClient(observe: QueryObserver): typeof pg.Client {
  return class ObservedClient extends pg.Client {
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
  };
}

function textOf(query: unknown): string {
  return typeof query === 'string' ? query : String((query as { text?: unknown } | undefined)?.text ?? '');
}
