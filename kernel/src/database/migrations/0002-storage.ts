import { Migration } from '@mikro-orm/migrations';

/** Collections and blobs of plugins. Each collection has a table of its own in `plugin_data`, made when it is declared. */
export class Storage extends Migration {
  override up(): void {
    this.addSql('create schema plugin_data');
    this.addSql(`create table storage_collection (
      id int generated always as identity primary key,
      plugin text not null,
      name text not null,
      spec jsonb not null,
      unique (plugin, name)
    )`);
    this.addSql(`create table storage_blob (
      plugin text not null,
      org text not null,
      sha256 text not null,
      upload uuid not null,
      size bigint not null,
      type text not null,
      created_at timestamptz not null default now(),
      primary key (plugin, org, sha256)
    )`);
    this.addSql('create unique index storage_blob_upload on storage_blob (upload)');
    this.addSql(`create table storage_blob_chunk (
      upload uuid not null,
      at int not null,
      bytes bytea not null,
      created_at timestamptz not null default now(),
      primary key (upload, at)
    )`);
  }

  override down(): void {
    this.addSql('drop table storage_blob_chunk');
    this.addSql('drop table storage_blob');
    this.addSql('drop table storage_collection');
    this.addSql('drop schema plugin_data cascade');
  }
}
