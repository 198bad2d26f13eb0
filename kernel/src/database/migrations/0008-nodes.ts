import { Migration } from '@mikro-orm/migrations';

/** Several kernels on one database: who is there, what has changed, what is still to be told, and packages for all. */
export class Nodes extends Migration {
  override up(): void {
    // A schema of its own, which backups leave out: packages are in the nodes' registries, and the rest is of the moment.
    this.addSql('create schema cluster');
    this.addSql(`create table cluster.state (
      id int primary key check (id = 1),
      installation uuid not null default gen_random_uuid(),
      generation bigint not null default 0,
      packages bigint not null default 0,
      holder text,
      held_until timestamptz
    )`);
    this.addSql('insert into cluster.state (id) values (1)');
    this.addSql(`create table cluster.node (
      id text primary key,
      incarnation uuid not null,
      host text not null,
      pid int not null,
      address text not null,
      version text not null,
      started_at timestamptz not null,
      seen_at timestamptz not null,
      alive_until timestamptz not null,
      state text not null,
      generation bigint not null,
      problems jsonb not null,
      position text
    )`);
    this.addSql(`create table cluster.outbox (
      seq bigint generated always as identity primary key,
      node text not null,
      event text not null,
      created_at timestamptz not null default now(),
      sent_at timestamptz
    )`);
    this.addSql('create index outbox_unsent on cluster.outbox (node, seq) where sent_at is null');
    this.addSql('create index outbox_sent on cluster.outbox (sent_at) where sent_at is not null');
    this.addSql(`create table cluster.package (
      plugin text not null,
      version text not null,
      integrity text not null,
      tarball bytea,
      origin text not null,
      source text,
      channel text not null,
      yanked text,
      changed bigint not null,
      primary key (plugin, version)
    )`);
    this.addSql('create index package_changed on cluster.package (changed)');
    this.addSql('alter table plugin_state add column generation bigint not null default 0');
    this.addSql('alter table plugin_installation add column discard_state boolean not null default false');
  }

  override down(): void {
    this.addSql('alter table plugin_installation drop column discard_state');
    this.addSql('alter table plugin_state drop column generation');
    this.addSql('drop schema cluster cascade');
  }
}
