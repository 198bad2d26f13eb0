import { defineEntity, type InferEntity, p } from '@mikro-orm/core';

/** Somebody who can log in. Roles are those of the memberships. */
export const UserEntity = defineEntity({
  name: 'User',
  tableName: 'user_account',
  properties: {
    id: p.text().primary(),
    /** In lower case; unique in the installation. */
    username: p.text(),
    name: p.text().nullable(),
    email: p.text().nullable(),
    /** The organisation whose administrators manage the account. */
    home: p.text(),
    /** Absent for those who log in elsewhere. */
    passwordHash: p.text().nullable(),
    disabled: p.boolean().default(false),
    /** Sealed. */
    totpSecret: p.text().nullable(),
    totpEnabled: p.boolean().default(false),
    /** Time step of the last code that was used: none is taken twice. */
    totpLastStep: p.bigint('number').nullable(),
    createdAt: p.datetime().onCreate(() => new Date()),
    updatedAt: p
      .datetime()
      .onCreate(() => new Date())
      .onUpdate(() => new Date()),
  },
});
export type UserRow = InferEntity<typeof UserEntity>;
