import { randomUUIDv7 } from 'node:crypto';
import { AtollError, allows, EVERYTHING, type Principal } from '@atoll/plugin-sdk/contract';
import type { Database } from '../database/index.js';
import { type ApiKeyRow, ApiKeyEntity } from './api-key-entity.js';
import type { IdentityChanges } from './changes.js';
import { type Listed, type Page, toPage } from './page.js';
import { assertCovers, type Roles } from './roles.js';
import { hashSecret, newSecret } from './secret-text.js';

/** A key as it is shown; the key itself only when it is made. */
export interface ApiKeyInfo {
  id: string;
  name: string;
  /** What the key begins with. */
  prefix: string;
  owner?: string;
  organisation: string;
  scopes: string[];
  expiresAt?: string;
  lastUsedAt?: string;
  createdAt: string;
}

export interface NewApiKey {
  name: string;
  scopes: string[];
  expiresAt?: string;
}

const PREFIX = 'atollk_';
const SHAPE = /^atollk_[A-Za-z0-9_-]{43}$/;
/** Of the 43 random characters, six are shown. */
const SHOWN = PREFIX.length + 6;
/** Of one owner, or of an organisation itself. */
const MAX_KEYS = 1_000;

export const looksLikeApiKey = (text: string): boolean => SHAPE.test(text);

/** API keys of users, and of organisations themselves (those are made with the root key). */
export class ApiKeys {
  constructor(
    private readonly database: Database,
    private readonly changes: IdentityChanges,
    private readonly roles: Roles,
  ) {}

  async list(actor: Principal, organisation: string, page: Page): Promise<Listed<ApiKeyInfo>> {
    const where = { id: { $gt: page.cursor ?? '' }, ...visible(actor, organisation) };
    const rows = await this.database.read((em) =>
      em.find(ApiKeyEntity, where, { orderBy: { id: 'asc' }, limit: page.limit + 1 }),
    );
    return toPage(rows, page, toInfo);
  }

  async get(actor: Principal, organisation: string, id: string): Promise<ApiKeyInfo> {
    return toInfo(await this.#visible(actor, organisation, id));
  }

  /** Throws FORBIDDEN for scopes that the actor has not, VALIDATION_FAILED for unknown ones. */
  async create(actor: Principal, organisation: string, input: NewApiKey): Promise<ApiKeyInfo & { key: string }> {
    this.#assertScopes(actor, organisation, input.scopes);
    const key = newSecret(PREFIX);
    const owner = actor.user ?? null;
    const expiresAt = toExpiry(input.expiresAt);
    const id = randomUUIDv7();
    this.changes.note({ target: `key:${id}`, after: { ...input, owner, organisation } });
    const row = await this.changes.apply(`key:${id}`, async (em) => {
      if ((await em.count(ApiKeyEntity, { organisation, owner })) >= MAX_KEYS)
        throw new AtollError('CONFLICT', `There are ${MAX_KEYS} keys already. Remove some first.`);
      const { name, scopes } = input;
      return em.create(ApiKeyEntity, {
        id, name, organisation, owner, scopes, expiresAt, ...keptOf(key), oldHash: null, oldUntil: null, lastUsedAt: null,
      }); // biome-ignore format: a row
    });
    return { ...toInfo(row), key };
  }

  async update(actor: Principal, organisation: string, id: string, patch: Partial<NewApiKey>): Promise<ApiKeyInfo> {
    const before = toInfo(await this.#visible(actor, organisation, id));
    this.changes.note({ target: `key:${id}`, before, after: { ...before, ...patch } });
    if (patch.scopes) this.#assertScopes(actor, organisation, patch.scopes);
    const { expiresAt, ...rest } = patch;
    const row = await this.changes.apply(`key:${id}`, async (em) =>
      em.assign(await em.findOneOrFail(ApiKeyEntity, { id }), {
        ...rest,
        ...(expiresAt !== undefined && { expiresAt: toExpiry(expiresAt) }),
      }),
    );
    return toInfo(row);
  }

  /** A new key in place of the old one, which works for `graceSeconds` more. */
  async rotate(
    actor: Principal,
    organisation: string,
    id: string,
    graceSeconds: number,
  ): Promise<ApiKeyInfo & { key: string }> {
    const before = await this.#visible(actor, organisation, id);
    // Whoever rotates a key has it afterwards.
    const own = actor.kind === 'key' ? actor.id === id : actor.kind === 'root' || before.owner === actor.user;
    if (!own) throw new AtollError('FORBIDDEN', 'A key is rotated by its owner, or by itself. Revoke it instead.');
    const key = newSecret(PREFIX);
    this.changes.note({
      target: `key:${id}`,
      before: toInfo(before),
      after: { prefix: keptOf(key).prefix, graceSeconds },
    });
    const row = await this.changes.apply(`key:${id}`, async (em) => {
      const row = await em.findOneOrFail(ApiKeyEntity, { id });
      const grace = graceSeconds > 0 ? { oldHash: row.hash, oldUntil: new Date(Date.now() + graceSeconds * 1000) } : {};
      return em.assign(row, { oldHash: null, oldUntil: null, ...grace, ...keptOf(key) });
    });
    return { ...toInfo(row), key };
  }

  /** It is worth nothing from this moment. */
  async revoke(actor: Principal, organisation: string, id: string): Promise<void> {
    this.changes.note({ target: `key:${id}`, before: toInfo(await this.#visible(actor, organisation, id)) });
    await this.changes.apply(`key:${id}`, async () => {
      await this.database.query('delete from api_key where id = $1', [id]);
    });
  }

  /** The row behind a key that is valid now, and until when it is. */
  async find(key: string): Promise<{ row: ApiKeyRow; until: number } | undefined> {
    const hash = hashSecret(key);
    const row = await this.database.read((em) => em.findOne(ApiKeyEntity, { $or: [{ hash }, { oldHash: hash }] }));
    if (!row) return undefined;
    const ends = [row.expiresAt, row.hash === hash ? null : row.oldUntil].filter((end) => end instanceof Date);
    const until = Math.min(...ends.map((end) => end.getTime()), Number.MAX_SAFE_INTEGER);
    return until > Date.now() ? { row, until } : undefined;
  }

  /** Writes down when keys were used last. */
  async used(times: ReadonlyMap<string, number>): Promise<void> {
    if (times.size === 0) return;
    await this.database.query(
      `update api_key k set last_used_at = greatest(k.last_used_at, u.at)
       from unnest($1::text[], $2::timestamptz[]) as u (id, at) where k.id = u.id`,
      [[...times.keys()], [...times.values()].map((ms) => new Date(ms).toISOString())],
    );
  }

  /** Scopes are permissions; `*` stands for all that the owner has. */
  #assertScopes(actor: Principal, organisation: string, scopes: readonly string[]): void {
    this.roles.assertKnown(
      scopes.filter((scope) => scope !== EVERYTHING),
      organisation,
    );
    const own = actor.kind === 'key' ? scopes : scopes.filter((scope) => scope !== EVERYTHING);
    assertCovers(actor, own);
  }

  async #visible(actor: Principal, organisation: string, id: string): Promise<ApiKeyRow> {
    const where = { id, ...visible(actor, organisation) };
    const row = await this.database.read((em) => em.findOne(ApiKeyEntity, where));
    if (!row) throw new AtollError('NOT_FOUND', `There is no API key "${id.slice(0, 100)}".`);
    return row;
  }
}

/** What is kept of a key: enough to know it again, and for people to tell it from others. */
const keptOf = (key: string) => ({ hash: hashSecret(key), prefix: key.slice(0, SHOWN) });

/** One's own keys, or all of the organisation for those who manage them. */
function visible(actor: Principal, organisation: string): { organisation: string; owner?: string } {
  if (allows(actor, 'api-keys.manage')) return { organisation };
  return { organisation, owner: actor.user ?? '' };
}

function toExpiry(text: string | undefined): Date | null {
  if (text === undefined) return null;
  const at = new Date(text);
  if (at.getTime() > Date.now()) return at;
  throw new AtollError('VALIDATION_FAILED', 'The key would have expired already.', {
    errors: [{ pointer: '/expiresAt', message: 'must be in the future' }],
  });
}

function toInfo(row: ApiKeyRow): ApiKeyInfo {
  const { id, name, prefix, owner, organisation, scopes, expiresAt, lastUsedAt, createdAt } = row;
  return {
    id,
    name,
    prefix,
    ...(owner && { owner }),
    organisation,
    scopes,
    ...(expiresAt && { expiresAt: expiresAt.toISOString() }),
    ...(lastUsedAt && { lastUsedAt: lastUsedAt.toISOString() }),
    createdAt: createdAt.toISOString(),
  };
}
