import { Migration } from '@mikro-orm/migrations';

/** Who did what: a chain of entries, each with a hash over itself and the one before. */
export class AuditTrail extends Migration {
  override up(): void {
    this.addSql(`create table audit_entry (
      seq bigint primary key,
      at timestamptz not null,
      organisation text not null,
      actor text not null,
      action text not null,
      outcome text not null,
      entry text not null,
      hash text not null
    )`);
    this.addSql('create index audit_entry_organisation on audit_entry (organisation, seq)');
    this.addSql('create index audit_entry_at on audit_entry (at)');
    // Where the chain begins and ends, so that entries missing at either end are found, too.
    this.addSql(`create table audit_ends (
      id int primary key check (id = 1),
      first_seq bigint not null,
      first_previous text not null,
      last_seq bigint not null,
      last_hash text not null,
      seal text not null
    )`);
  }

  override down(): void {
    this.addSql('drop table audit_ends');
    this.addSql('drop table audit_entry');
  }
}
