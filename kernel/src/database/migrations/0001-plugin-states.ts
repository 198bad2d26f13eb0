import { Migration } from '@mikro-orm/migrations';

/** What the operator wants of each plugin. */
export class PluginStates extends Migration {
  override up(): void {
    this.addSql(`create table plugin_state (
      id text primary key,
      desired text not null check (desired in ('enabled', 'disabled')),
      config jsonb,
      updated_at timestamptz not null default now()
    )`);
  }

  override down(): void {
    this.addSql('drop table plugin_state');
  }
}
