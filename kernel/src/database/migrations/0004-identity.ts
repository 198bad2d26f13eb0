import { Migration } from '@mikro-orm/migrations';

/** Organisations, users, their sessions and API keys. */
export class Identity extends Migration {
  override up(): void {
    this.addSql(`create table organisation (
      id text primary key,
      name text not null,
      tier text not null default 'standard',
      created_at timestamptz not null default now()
    )`);
    this.addSql(`insert into organisation (id, name) values ('default', 'Default')`);
    this.addSql(`create table user_account (
      id text primary key,
      username text not null unique,
      name text,
      email text,
      home text not null references organisation on delete cascade,
      password_hash text,
      disabled boolean not null default false,
      totp_secret text,
      totp_enabled boolean not null default false,
      totp_last_step bigint,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    )`);
    this.addSql('create index user_account_home on user_account (home, id)');
    this.addSql(`create table membership (
      organisation text not null references organisation on delete cascade,
      "user" text not null references user_account on delete cascade,
      roles jsonb not null default '[]',
      primary key (organisation, "user")
    )`);
    this.addSql('create index membership_user on membership ("user")');
    this.addSql(`create table custom_role (
      organisation text not null references organisation on delete cascade,
      name text not null,
      permissions jsonb not null,
      primary key (organisation, name)
    )`);
    this.addSql(`create table session (
      id text primary key,
      "user" text not null references user_account on delete cascade,
      organisation text not null references organisation on delete cascade,
      address text not null,
      agent text,
      created_at timestamptz not null default now(),
      used_at timestamptz not null default now(),
      expires_at timestamptz not null,
      revoked_at timestamptz
    )`);
    this.addSql('create index session_of_user on session ("user")');
    this.addSql('create index session_expires on session (expires_at)');
    this.addSql(`create table refresh_token (
      hash text primary key,
      session text not null references session on delete cascade,
      used_at timestamptz
    )`);
    this.addSql('create index refresh_token_session on refresh_token (session)');
    this.addSql(`create table recovery_code (
      "user" text not null references user_account on delete cascade,
      hash text not null,
      primary key ("user", hash)
    )`);
    this.addSql(`create table external_identity (
      provider text not null,
      subject text not null,
      "user" text not null references user_account on delete cascade,
      primary key (provider, subject)
    )`);
    this.addSql(`create table login_throttle (
      key text primary key,
      failures int not null,
      free_at timestamptz not null,
      updated_at timestamptz not null
    )`);
    this.addSql('create index login_throttle_updated on login_throttle (updated_at)');
    this.addSql(`create table api_key (
      id text primary key,
      organisation text not null references organisation on delete cascade,
      owner text references user_account on delete cascade,
      name text not null,
      prefix text not null,
      hash text not null unique,
      old_hash text unique,
      old_until timestamptz,
      scopes jsonb not null,
      expires_at timestamptz,
      last_used_at timestamptz,
      created_at timestamptz not null default now()
    )`);
    this.addSql('create index api_key_organisation on api_key (organisation, id)');
    this.addSql('create index api_key_owner on api_key (owner)');
  }

  override down(): void {
    for (const table of [
      'api_key',
      'login_throttle',
      'external_identity',
      'recovery_code',
      'refresh_token',
      'session',
      'custom_role',
      'membership',
      'user_account',
      'organisation',
    ])
      this.addSql(`drop table ${table}`);
  }
}
