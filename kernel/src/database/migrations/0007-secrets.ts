import { Migration } from '@mikro-orm/migrations';

/** Secrets, encrypted; and what it takes to exchange the master key that protects them. */
export class Secrets extends Migration {
  override up(): void {
    this.addSql(`create table secret (
      name text primary key,
      id text not null,
      hosts jsonb not null,
      active_version integer not null,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    )`);
    // Each version has a data key of its own; the master key whose id it begins with has wrapped that.
    this.addSql(`create table secret_version (
      name text not null references secret (name) on delete cascade,
      version integer not null,
      wrapped_key text not null,
      key_id text not null generated always as (split_part(wrapped_key, '.', 1)) stored,
      sealed text not null,
      created_at timestamptz not null default now(),
      created_by text not null,
      primary key (name, version)
    )`);
    this.addSql('create index secret_version_key on secret_version (key_id)');
    this.addSql(`create table secret_grant (
      name text not null references secret (name) on delete cascade,
      plugin text not null,
      created_at timestamptz not null default now(),
      primary key (name, plugin)
    )`);
    this.addSql(`create table master_key_state (
      id int primary key check (id = 1),
      active text not null,
      rotating boolean not null default false,
      unreadable int not null default 0,
      changed_at timestamptz not null default now()
    )`);
    // What the audit trail was made with up to an entry, before the master key was exchanged.
    this.addSql(`create table audit_key (
      last_seq bigint primary key,
      sealed text not null
    )`);
  }

  override down(): void {
    for (const table of ['audit_key', 'master_key_state', 'secret_grant', 'secret_version', 'secret'])
      this.addSql(`drop table ${table}`);
  }
}
