import type { Channel } from '@atoll/registry';
import { defineEntity, p } from '@mikro-orm/core';

/** A version that ran before, newest first: what a rollback goes back to. */
export interface FormerVersion {
  version: string;
  /** When another took its place, ISO 8601. */
  until: string;
}

/** Which version of a plugin of the registry is installed. The row decides what runs after a restart. */
export const InstallationEntity = defineEntity({
  name: 'Installation',
  tableName: 'plugin_installation',
  properties: {
    id: p.text().primary(),
    version: p.text(),
    former: p.json<FormerVersion[]>(),
    /** It took the place of the one before without its state. */
    discardState: p.boolean().default(false),
    /** The channel whose new versions are swapped in by themselves. */
    follows: p.text().$type<Channel>().nullable(),
    installedAt: p.datetime().onCreate(() => new Date()),
    updatedAt: p
      .datetime()
      .onCreate(() => new Date())
      .onUpdate(() => new Date()),
  },
});
