import { AtollError, allows, type Principal } from '@atoll/plugin-sdk/contract';
import { HOME } from '../auth/index.js';
import { type Database, sqlState } from '../database/index.js';
import type { IdentityChanges } from './changes.js';
import { OrganisationEntity } from './organisation-entity.js';
import { type Listed, type Page, toPage } from './page.js';

export interface OrganisationInfo {
  id: string;
  name: string;
  tier: string;
  createdAt: string;
}

const UNIQUE_VIOLATION = '23505';

export class Organisations {
  constructor(
    private readonly database: Database,
    private readonly changes: IdentityChanges,
  ) {}

  /** All for those who manage them, one's own for the others. */
  async list(actor: Principal, page: Page): Promise<Listed<OrganisationInfo>> {
    const all = allows(actor, 'organisations.manage');
    const where = { id: { $gt: page.cursor ?? '', ...(!all && { $eq: organisationOf(actor) }) } };
    const rows = await this.database.read((em) =>
      em.find(OrganisationEntity, where, { orderBy: { id: 'asc' }, limit: page.limit + 1 }),
    );
    return toPage(rows, page, toInfo);
  }

  async get(id: string): Promise<OrganisationInfo> {
    const row = await this.database.read((em) => em.findOne(OrganisationEntity, { id }));
    if (!row) throw unknown(id);
    return toInfo(row);
  }

  /** Throws CONFLICT. */
  async create({
    id,
    name,
    tier = 'standard',
  }: {
    id: string;
    name: string;
    tier?: string;
  }): Promise<OrganisationInfo> {
    this.changes.note({ target: `organisation:${id}`, after: { name, tier } });
    try {
      await this.changes.apply(`organisation:${id}`, async (em) => {
        em.create(OrganisationEntity, { id, name, tier });
      });
    } catch (error) {
      if (sqlState(error) === UNIQUE_VIOLATION) throw new AtollError('CONFLICT', `There is an organisation "${id}".`);
      throw error;
    }
    return this.get(id);
  }

  async update(id: string, patch: { name?: string; tier?: string }): Promise<OrganisationInfo> {
    const before = await this.get(id);
    this.changes.note({ target: `organisation:${id}`, before, after: { ...before, ...patch } });
    await this.changes.apply(`organisation:${id}`, async (em) => {
      em.assign(await em.findOneOrFail(OrganisationEntity, { id }), patch);
    });
    return this.get(id);
  }

  /** With the accounts whose home it is, all memberships, sessions and keys. */
  async remove(id: string): Promise<void> {
    if (id === HOME) throw new AtollError('CONFLICT', 'The organisation that runs the installation stays.');
    this.changes.note({ target: `organisation:${id}`, before: await this.get(id) });
    await this.changes.apply('everything', async () => {
      await this.database.query('delete from organisation where id = $1', [id]);
    });
  }

  /** The organisation that a request is about: the caller's, or another one for those who manage all. Others do not exist. */
  async chosen(actor: Principal, wanted: unknown): Promise<string> {
    const own = organisationOf(actor);
    if (typeof wanted !== 'string' || wanted === own) return own;
    if (!allows(actor, 'organisations.manage')) throw unknown(wanted);
    return (await this.get(wanted)).id;
  }
}

const organisationOf = ({ organisation = HOME }: Principal): string => organisation;

const unknown = (id: string): AtollError =>
  new AtollError('NOT_FOUND', `There is no organisation "${id.slice(0, 100)}".`);

function toInfo({ id, name, tier, createdAt }: { id: string; name: string; tier: string; createdAt: Date }) {
  return { id, name, tier, createdAt: createdAt.toISOString() };
}
