import { AtollError, allows } from '@atoll/plugin-sdk/contract';
import { Type } from 'typebox';
import type { NodeView } from '../cluster/index.js';
import { actorOf, type KernelRequest, type KernelRoute } from '../http/kernel-route.js';
import type { PluginHost, PluginInfo, PluginLogLine } from '../plugins/types.js';

/** What is asked of the other nodes. */
export interface Nodes {
  /** Those that do not run what they should, this plugin or another. */
  behind(plugin: string): Promise<NodeView[]>;
}

const Plugin = Type.Object({
  id: Type.String(),
  version: Type.String(),
  title: Type.String(),
  state: Type.String({ description: 'installed, pending, starting, active, draining, stopped, failed or quarantined' }),
  reason: Type.Optional(Type.String()),
  notConverged: Type.Optional(
    Type.Array(Type.Object({ node: Type.String(), reason: Type.String() }), {
      description: 'Nodes that do not run yet what the installation should.',
    }),
  ),
});
const Page = Type.Object({
  limit: Type.Integer({ minimum: 1, maximum: 200, default: 100 }),
  cursor: Type.Optional(Type.String({ maxLength: 200 })),
});
const Logs = Type.Object({
  limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
  level: Type.Union(
    ['debug', 'info', 'warn', 'error'].map((level) => Type.Literal(level)),
    { default: 'debug' },
  ),
});

/** `/api/v1/plugins`: what an operator does with plugins. */
export function pluginApi(host: PluginHost, nodes: Nodes): KernelRoute[] {
  const tag = 'plugins';
  const base = '/api/v1/plugins';
  const read = { tag, permission: 'plugins.read' as const };
  const inspect = { tag, permission: 'plugins.inspect' as const };
  const manage = { tag, permission: 'plugins.manage' as const, response: Plugin };
  return [
    {
      ...read,
      method: 'GET',
      path: base,
      summary: 'All plugins',
      query: Page,
      response: Type.Object({ items: Type.Array(Plugin), nextCursor: Type.Optional(Type.String()) }),
      handle: ({ query }) => page(host, query as { limit: number; cursor?: string }),
    },
    {
      ...read,
      method: 'GET',
      path: `${base}/:id`,
      summary: 'One plugin',
      response: Plugin,
      handle: (request) => one(host, nodes, request),
    },
    {
      ...manage,
      method: 'POST',
      path: `${base}/:id/enable`,
      action: 'plugins.enable',
      summary: 'Enable a plugin',
      body: Type.Object({}),
      handle: (request) => acting(host, request, (id) => host.enable(id)),
    },
    {
      ...manage,
      method: 'POST',
      path: `${base}/:id/disable`,
      action: 'plugins.disable',
      summary: 'Disable a plugin; with `cascade` also when others need it',
      body: Type.Object({ cascade: Type.Boolean({ default: false }) }),
      handle: (request) => acting(host, request, (id) => host.disable(id, { cascade: request.body.cascade === true })),
    },
    {
      ...manage,
      method: 'POST',
      path: `${base}/:id/reload`,
      action: 'plugins.reload',
      summary: 'Build a plugin anew and swap it in',
      body: Type.Object({
        discardState: Type.Boolean({
          default: false,
          description: 'Give up what the running version keeps in memory.',
        }),
      }),
      handle: (request) =>
        acting(host, request, (id) => host.reload(id, { discardState: request.body.discardState === true })),
    },
    {
      ...inspect,
      method: 'GET',
      path: `${base}/:id/logs`,
      summary: 'The latest log lines of a plugin, oldest first',
      query: Logs,
      handle: ({ params, query }) => ({
        items: host.logs(params.id!, query as { limit: number; level: PluginLogLine['level'] }),
      }),
    },
    {
      ...inspect,
      method: 'GET',
      path: `${base}/:id/config`,
      summary: 'Configuration of a plugin, secrets masked',
      handle: ({ params }) => host.config(params.id!),
    },
    {
      ...manage,
      method: 'PUT',
      path: `${base}/:id/config`,
      action: 'plugins.configure',
      summary: 'Set the configuration of a plugin; it is swapped for an instance with the new one',
      body: Type.Record(Type.String(), Type.Unknown()),
      handle: async ({ params, body, note }) => {
        const id = params.id!;
        const before = host.config(id).values;
        const plugin = await host.setConfig(id, body);
        note({ target: `plugin:${id}`, before, after: host.config(id).values });
        return plugin;
      },
    },
  ];
}

/** The audit trail gets what it was before and is after. */
async function acting(
  host: PluginHost,
  { params, note }: KernelRequest,
  act: (id: string) => Promise<PluginInfo>,
): Promise<PluginInfo> {
  const id = params.id!;
  note({ target: `plugin:${id}`, before: standing(host.get(id)) });
  const plugin = await act(id);
  note({ after: standing(plugin) });
  return plugin;
}

const standing = (plugin: PluginInfo | undefined): object | undefined =>
  plugin && { version: plugin.version, state: plugin.state, desired: plugin.desired };

async function one(host: PluginHost, nodes: Nodes, request: KernelRequest): Promise<object> {
  const id = request.params.id!;
  const plugin = host.get(id);
  if (!plugin) throw new AtollError('PLUGIN_NOT_FOUND', `There is no plugin "${id}".`);
  const behind = allows(actorOf(request), 'nodes.read') ? await nodes.behind(id) : [];
  const notOn = behind.map((node) => ({ node: node.id, reason: reasonOf(node, id) }));
  return { ...plugin, ...(notOn.length > 0 && { notConverged: notOn }) };
}

const reasonOf = ({ problems, generation }: NodeView, id: string): string =>
  problems.find(({ plugin }) => plugin === id)?.reason ??
  (problems.length > 0
    ? `It has problems with ${problems.map(({ plugin }) => plugin).join(', ')}.`
    : `It is at generation ${generation}.`);

/** In the order of the ids' characters, whatever the order of the list; the cursor is the last id of the page before. */
function page(host: PluginHost, { limit, cursor }: { limit: number; cursor?: string }): object {
  const sorted = host.list().toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const rest = sorted.filter(({ id }) => cursor === undefined || id > cursor);
  const items = rest.slice(0, limit);
  return { items, ...(rest.length > limit && { nextCursor: items.at(-1)!.id }) };
}
