import { Migration } from '@mikro-orm/migrations';

/** Rate limits that were set through the API; those of the configuration are not here. */
export class RateLimitRules extends Migration {
  override up(): void {
    this.addSql(`create table rate_limit (
      id text primary key,
      rule jsonb not null,
      updated_at timestamptz not null default now()
    )`);
  }

  override down(): void {
    this.addSql('drop table rate_limit');
  }
}
