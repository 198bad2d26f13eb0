import { Migration } from '@mikro-orm/migrations';

/** What operators have taken from plugins, what was observed of them, their canaries, and the channels that they follow. */
export class PluginLife extends Migration {
  override up(): void {
    this.addSql(`create table plugin_permission (
      id text primary key,
      narrowing jsonb,
      observing_since timestamptz,
      usage jsonb,
      updated_at timestamptz not null default now()
    )`);
    this.addSql(`create table plugin_canary (
      id text primary key,
      canary jsonb not null,
      updated_at timestamptz not null default now()
    )`);
    this.addSql('alter table plugin_installation add column follows text');
  }

  override down(): void {
    this.addSql('alter table plugin_installation drop column follows');
    this.addSql('drop table plugin_canary');
    this.addSql('drop table plugin_permission');
  }
}
