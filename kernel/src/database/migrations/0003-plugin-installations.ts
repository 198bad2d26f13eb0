import { Migration } from '@mikro-orm/migrations';

/** Which version of each plugin of the registry is installed, and which ran before. */
export class PluginInstallations extends Migration {
  override up(): void {
    this.addSql(`create table plugin_installation (
      id text primary key,
      version text not null,
      former jsonb not null default '[]',
      installed_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    )`);
  }

  override down(): void {
    this.addSql('drop table plugin_installation');
  }
}
