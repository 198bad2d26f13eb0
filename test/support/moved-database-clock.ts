import pg from 'pg';

/** The clock of a PostgreSQL database, that can be set while it is used: `now()` is another function there. */
export class MovedDatabaseClock {
  private constructor(private readonly client: pg.Client) {}

  /** Before anything connects to it. */
  static async of(url: string): Promise<MovedDatabaseClock> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(`create table moved_clock (step interval not null)`);
    await client.query(`insert into moved_clock values ('0')`);
    await client.query(
      `create function public.now() returns timestamptz stable language sql
         as 'select transaction_timestamp() + (select step from public.moved_clock)'`,
    );
    await client.query(`do $$ begin
      execute format('alter database %I set search_path = public, pg_catalog', current_database());
    end $$`);
    return new MovedDatabaseClock(client);
  }

  /** From now on it is off by so much. */
  async set(step: string): Promise<void> {
    // The job queue has a function of its own for it.
    await this.client.query(
      `create or replace function pgboss.job_now() returns timestamptz stable language sql as 'select public.now()'`,
    );
    await this.client.query('update moved_clock set step = $1::interval', [step]);
  }

  async close(): Promise<void> {
    await this.client.end();
  }
}
