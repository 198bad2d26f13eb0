import { Type } from 'typebox';
import type { EventBus } from '../events/index.js';

/** What the kernel tells of plugins. */
export function definePluginTopics(bus: EventBus): void {
  bus.defineTopic(
    'plugin.state.changed',
    Type.Object({ id: Type.String(), from: Type.String(), to: Type.String(), reason: Type.Optional(Type.String()) }),
  );
  bus.defineTopic(
    'plugin.swapped',
    Type.Object({
      id: Type.String(),
      from: Type.Union([Type.String(), Type.Null()]),
      to: Type.String(),
      ms: Type.Integer({ description: 'From the decision to serving.' }),
    }),
  );
  bus.defineTopic('plugin.permissions.changed', Type.Object({ id: Type.String(), granted: Type.Array(Type.String()) }));
  const Canary = Type.Object({
    id: Type.String(),
    from: Type.String(),
    to: Type.String(),
    reason: Type.Optional(Type.String()),
  });
  for (const state of ['started', 'promoted', 'rolled-back', 'aborted'])
    bus.defineTopic(`plugin.canary.${state}`, Canary);
  bus.defineTopic(
    'plugin.upgrade.pending',
    Type.Object({ id: Type.String(), version: Type.String(), code: Type.String(), reason: Type.String() }),
  );
  bus.defineTopic('service.changed', Type.Object({ service: Type.String() }));
}
