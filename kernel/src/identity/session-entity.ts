import { defineEntity, type InferEntity, p } from '@mikro-orm/core';

/** One login: the family of refresh tokens that follow one another, and of the access tokens that they bring. */
export const SessionEntity = defineEntity({
  name: 'Session',
  tableName: 'session',
  properties: {
    id: p.text().primary(),
    user: p.text(),
    /** In which the user acts. */
    organisation: p.text(),
    address: p.text(),
    agent: p.text().nullable(),
    createdAt: p.datetime().onCreate(() => new Date()),
    usedAt: p.datetime().onCreate(() => new Date()),
    expiresAt: p.datetime(),
    revokedAt: p.datetime().nullable(),
  },
});
export type SessionRow = InferEntity<typeof SessionEntity>;
