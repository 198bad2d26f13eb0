import { randomUUID } from 'node:crypto';
import { AtollError, type Principal } from '@atoll/plugin-sdk/contract';
import type { AuditTrail } from '../audit/index.js';
import type { MasterKey } from '../auth/index.js';
import type { Config } from '../config/index.js';
import type { Database } from '../database/index.js';
import type { IdentityChanges } from '../identity/changes.js';
import type { Secret, SecretSource } from '../net/index.js';
import { ConfigSecretSource } from '../net/index.js';
import type { Logger } from '../telemetry/logger.js';
import { seal } from './envelope.js';
import { MasterKeyRotation } from './master-key-rotation.js';
import { SealedSecrets } from './sealed-secrets.js';
import { type SecretRow, SELECT, toInfo, toVersion, unknown, type VersionRow } from './secret-row.js';
import type { NewSecret, SecretInfo, SecretVersion } from './types.js';

export interface VaultDeps {
  database: Database;
  changes: IdentityChanges;
  master: MasterKey;
  trail: AuditTrail;
  /** Those of the configuration. */
  configured: Config['secrets'];
  log: Logger;
}

/** Versions of one secret; the oldest have to be removed with it. */
const MAX_VERSIONS = 1_000;
const MAX_SECRETS = 10_000;

/**
 * Secrets: those of the configuration, and those kept in the database, encrypted. One in the database is instead of one of the configuration
 * that has the same name.
 */
export class SecretVault implements SecretSource {
  readonly rotation: MasterKeyRotation;
  readonly #sealed: SealedSecrets;
  readonly #configured: ConfigSecretSource;
  #unsubscribe = () => {};

  constructor(private readonly deps: VaultDeps) {
    const { database, master, changes, trail, log, configured } = deps;
    this.#sealed = new SealedSecrets(database, master, () => changes.told);
    this.#configured = new ConfigSecretSource(configured);
    this.rotation = new MasterKeyRotation({ database, changes, master, trail, log });
  }

  /** The database has to be open. */
  async start(): Promise<void> {
    await this.rotation.start();
    await this.#sealed.reload();
    for (const name of this.#sealed.names)
      if (this.#configured.get(name))
        this.deps.log.warn({ name }, 'a secret of the configuration is not used: the database has one of that name');
    this.#unsubscribe = this.deps.changes.onChange((subject) => {
      if (subject !== 'everything' && subject !== 'secrets') return;
      this.#sealed.reload().catch((error) => this.deps.log.warn({ err: error }, 'secrets could not be read'));
    });
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    await this.#sealed.close();
    await this.rotation.close();
  }

  get(name: string): Secret | undefined {
    return this.#sealed.get(name) ?? this.#configured.get(name);
  }

  fresh(): Promise<void> {
    return this.#sealed.fresh();
  }

  async list(): Promise<SecretInfo[]> {
    const rows = await this.deps.database.query<SecretRow>(`${SELECT} order by s.name`);
    const stored = new Set(rows.map(({ name }) => name));
    const configured = Object.entries(this.deps.configured).filter(([name]) => !stored.has(name));
    return [
      ...rows.map(toInfo),
      ...configured.map(([name, { hosts }]) => ({ name, source: 'configuration' as const, hosts, plugins: ['*'] })),
    ].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async info(name: string): Promise<SecretInfo> {
    const found = (await this.list()).find((secret) => secret.name === name);
    if (!found) throw unknown(name);
    return found;
  }

  async versions(name: string): Promise<SecretVersion[]> {
    const { active_version } = await this.#stored(name);
    const rows = await this.deps.database.query<VersionRow>(
      'select version, created_at, created_by, key_id from secret_version where name = $1 order by version desc',
      [name],
    );
    return rows.map((row) => toVersion(row, active_version));
  }

  /** Throws CONFLICT when there is one of that name, also in the configuration. */
  async create({ name, value, hosts, plugins }: NewSecret, by: Principal): Promise<SecretInfo> {
    if (this.#configured.get(name))
      throw new AtollError('CONFLICT', `The configuration has a secret "${name}". Take it out there first.`);
    const after = { hosts, plugins, version: 1 };
    await this.#change(name, { after }, async () => {
      const { database } = this.deps;
      await this.rotation.useActiveKey();
      const [count] = await database.query<{ count: string }>('select count(*) from secret');
      if (Number(count?.count) >= MAX_SECRETS)
        throw new AtollError('CONFLICT', `There are ${MAX_SECRETS} secrets already.`);
      const id = randomUUID();
      const made = await database.query(
        'insert into secret (name, id, hosts, active_version) values ($1, $2, $3::jsonb, 1) on conflict do nothing returning name',
        [name, id, JSON.stringify(hosts)],
      );
      if (made.length === 0) throw new AtollError('CONFLICT', `There is a secret "${name}" already.`);
      await this.#insertVersion({ id, name, version: 1 }, value, by);
      for (const plugin of new Set(plugins)) await this.#insertGrant(name, plugin);
    });
    return this.info(name);
  }

  /** A new value, which is used from now on. */
  async addVersion(name: string, value: string, by: Principal): Promise<SecretVersion> {
    let made: number | undefined;
    await this.#change(name, {}, async () => {
      await this.rotation.useActiveKey();
      const { id, active_version } = await this.#stored(name, 'for update');
      const [latest] = await this.deps.database.query<{ version: number; count: string }>(
        'select max(version) as version, count(*) from secret_version where name = $1',
        [name],
      );
      if (Number(latest?.count) >= MAX_VERSIONS)
        throw new AtollError('CONFLICT', `"${name}" has ${MAX_VERSIONS} versions already. Remove it and make it anew.`);
      const version = (latest?.version ?? active_version) + 1;
      made = version;
      await this.#insertVersion({ id, name, version }, value, by);
      await this.#setActive(name, active_version, version);
    });
    return (await this.versions(name)).find(({ version }) => version === made)!;
  }

  async activate(name: string, version: number): Promise<SecretInfo> {
    await this.#change(name, {}, async () => {
      const { active_version } = await this.#stored(name, 'for update');
      const found = await this.deps.database.query('select 1 from secret_version where name = $1 and version = $2', [
        name,
        version,
      ]);
      if (found.length === 0) throw new AtollError('NOT_FOUND', `"${name}" has no version ${version}.`);
      await this.#setActive(name, active_version, version);
    });
    return this.info(name);
  }

  async bind(name: string, hosts: string[]): Promise<SecretInfo> {
    await this.#change(name, { after: { hosts } }, async () => {
      const { hosts: before } = await this.#stored(name, 'for update');
      this.deps.changes.note({ before: { hosts: before } });
      await this.deps.database.query('update secret set hosts = $2::jsonb, updated_at = now() where name = $1', [
        name,
        JSON.stringify(hosts),
      ]);
    });
    return this.info(name);
  }

  /** `*` is for every plugin that asks. Granting again changes nothing. */
  async grant(name: string, plugin: string): Promise<SecretInfo> {
    await this.#change(name, { after: { plugin } }, async () => {
      await this.#stored(name, 'for update');
      await this.#insertGrant(name, plugin);
    });
    return this.info(name);
  }

  async revoke(name: string, plugin: string): Promise<void> {
    await this.#change(name, { before: { plugin } }, async () => {
      await this.#stored(name, 'for update');
      const gone = await this.deps.database.query(
        'delete from secret_grant where name = $1 and plugin = $2 returning plugin',
        [name, plugin],
      );
      if (gone.length === 0) throw new AtollError('NOT_FOUND', `"${name}" is not granted to "${plugin}".`);
    });
  }

  /** A plugin is gone with all it had: one that comes later under its id must not have its secrets. */
  async revokeAll(plugin: string): Promise<void> {
    const { database, changes } = this.deps;
    const held = await database.query('select 1 from secret_grant where plugin = $1 limit 1', [plugin]);
    if (held.length === 0) return;
    await changes.apply('secrets', async () => {
      await database.query('delete from secret_grant where plugin = $1', [plugin]);
    });
    await this.#sealed.reload();
  }

  /** With all its versions and grants. */
  async remove(name: string): Promise<void> {
    await this.#change(name, {}, async () => {
      const { hosts, plugins, active_version } = await this.#stored(name, 'for update');
      this.deps.changes.note({ before: { hosts, plugins: plugins ?? [], version: active_version } });
      await this.deps.database.query('delete from secret where name = $1', [name]);
    });
  }

  /** One transaction with its entry in the audit trail. It holds on this node when it resolves. */
  async #change(name: string, deed: { before?: unknown; after?: unknown }, work: () => Promise<void>): Promise<void> {
    this.deps.changes.note({ target: `secret:${name}`, ...deed });
    await this.deps.changes.apply('secrets', work);
    await this.#sealed.reload();
  }

  async #stored(name: string, lock = ''): Promise<SecretRow> {
    const [row] = await this.deps.database.query<SecretRow>(`${SELECT} where s.name = $1 ${lock}`, [name]);
    if (row) return row;
    if (this.#configured.get(name))
      throw new AtollError('CONFLICT', `The secret "${name}" is of the configuration; change it there.`);
    throw unknown(name);
  }

  async #insertVersion(at: { id: string; name: string; version: number }, value: string, by: Principal) {
    const { wrappedKey, sealed } = seal(this.deps.master, at, value);
    await this.deps.database.query(
      'insert into secret_version (name, version, wrapped_key, sealed, created_by) values ($1, $2, $3, $4, $5)',
      [at.name, at.version, wrappedKey, sealed, `${by.kind}:${by.id}`],
    );
  }

  async #insertGrant(name: string, plugin: string): Promise<void> {
    await this.deps.database.query('insert into secret_grant (name, plugin) values ($1, $2) on conflict do nothing', [
      name,
      plugin,
    ]);
  }

  async #setActive(name: string, before: number, after: number): Promise<void> {
    this.deps.changes.note({ before: { version: before }, after: { version: after } });
    await this.deps.database.query('update secret set active_version = $2, updated_at = now() where name = $1', [
      name,
      after,
    ]);
  }
}
