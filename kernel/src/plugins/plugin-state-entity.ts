import { defineEntity, p } from '@mikro-orm/core';

/** What the operator wants of one plugin. */
export const PluginStateEntity = defineEntity({
  name: 'PluginState',
  tableName: 'plugin_state',
  properties: {
    id: p.text().primary(),
    desired: p.text().$type<'enabled' | 'disabled'>(),
    /** Values set through the API. */
    config: p.json<Record<string, unknown>>().nullable(),
    /** Of the installation, when it was set. */
    generation: p.bigint('number').default(0),
    updatedAt: p
      .datetime()
      .onCreate(() => new Date())
      .onUpdate(() => new Date()),
  },
});
