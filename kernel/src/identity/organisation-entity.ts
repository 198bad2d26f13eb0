import { defineEntity, p } from '@mikro-orm/core';

/** One client of the installation, with members, roles and keys of its own. */
export const OrganisationEntity = defineEntity({
  name: 'Organisation',
  tableName: 'organisation',
  properties: {
    id: p.text().primary(),
    name: p.text(),
    /** Names the limits that hold for it. */
    tier: p.text().default('standard'),
    createdAt: p.datetime().onCreate(() => new Date()),
  },
});
