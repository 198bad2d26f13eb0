import { Type } from 'typebox';
import type { KernelRoute } from '../http/kernel-route.js';
import type { PluginPermissions } from '../plugins/permissions/plugin-permissions.js';
import { PermissionSet } from '../plugins/permissions/permission-set.js';

const View = Type.Object({
  asked: Type.Object({}, { description: 'By the manifest; installing it was the consent.' }),
  granted: Type.Object({}, { description: 'What it has now.' }),
  narrowed: Type.Unknown({ description: 'What was set here, or null.' }),
  observing: Type.Boolean(),
  refused: Type.Integer({ description: 'Refused host calls since the start of the kernel.' }),
});
const Count = Type.Object({
  kind: Type.String(),
  value: Type.Optional(Type.String()),
  count: Type.Integer(),
  last: Type.String(),
});
const Usage = Type.Object({
  observing: Type.Boolean(),
  since: Type.Optional(Type.String()),
  used: Type.Array(Count),
  usedOthers: Type.Integer(),
  refused: Type.Array(Count),
  refusedOthers: Type.Integer(),
  proposal: Type.Unknown({
    description: 'What covers all that was used, as a body for PUT; null when nothing was observed.',
  }),
});

/** `/api/v1/plugins/{id}/permissions`: narrowed, given back and observed while the plugin runs. */
export function pluginPermissionApi(permissions: PluginPermissions): KernelRoute[] {
  const path = '/api/v1/plugins/:id/permissions';
  const inspect = { tag: 'plugins', permission: 'plugins.inspect' as const };
  const manage = { tag: 'plugins', permission: 'plugins.manage' as const, response: View };
  return [
    {
      ...inspect,
      method: 'GET',
      path,
      summary: 'What a plugin asks for, and what it has of it',
      response: View,
      handle: ({ params }) => permissions.view(params.id!),
    },
    {
      ...manage,
      method: 'PUT',
      path,
      action: 'plugins.permissions.narrow',
      summary: 'Leave a plugin this much of what it asks for, from its next call on; what is absent is taken away',
      body: PermissionSet,
      handle: ({ params, body }) => permissions.narrow(params.id!, body as PermissionSet),
    },
    {
      ...manage,
      method: 'DELETE',
      path,
      action: 'plugins.permissions.reset',
      summary: 'Give a plugin back all that it asks for',
      handle: ({ params }) => permissions.narrow(params.id!, undefined),
    },
    {
      ...manage,
      method: 'PUT',
      path: `${path}/observe`,
      action: 'plugins.permissions.observe',
      summary: 'Record what a plugin uses, or end that; it is granted no more by it',
      body: Type.Object({ observe: Type.Boolean() }),
      handle: ({ params, body }) => permissions.observe(params.id!, body.observe === true),
    },
    {
      ...inspect,
      method: 'GET',
      path: `${path}/usage`,
      summary: 'What a plugin was seen to use and was refused, and the least set that would do',
      response: Usage,
      handle: ({ params }) => permissions.usage(params.id!),
    },
  ];
}
