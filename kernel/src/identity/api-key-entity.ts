import { defineEntity, type InferEntity, p } from '@mikro-orm/core';

/** A credential for programs. Of the key itself only the hash is kept. */
export const ApiKeyEntity = defineEntity({
  name: 'ApiKey',
  tableName: 'api_key',
  properties: {
    id: p.text().primary(),
    organisation: p.text(),
    /** The user it acts for; absent for keys of the organisation itself. */
    owner: p.text().nullable(),
    name: p.text(),
    /** What the key begins with. */
    prefix: p.text(),
    hash: p.text(),
    /** The key before the last rotation, and until when it is taken. */
    oldHash: p.text().nullable(),
    oldUntil: p.datetime().nullable(),
    scopes: p.json<string[]>(),
    expiresAt: p.datetime().nullable(),
    lastUsedAt: p.datetime().nullable(),
    createdAt: p.datetime().onCreate(() => new Date()),
  },
});
export type ApiKeyRow = InferEntity<typeof ApiKeyEntity>;
