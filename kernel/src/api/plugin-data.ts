import { Readable } from 'node:stream';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { Type } from 'typebox';
import type { KernelRoute } from '../http/kernel-route.js';
import type { PluginHost } from '../plugins/types.js';
import type { StorageService } from '../storage/index.js';
import { exportPlugin, importPlugin } from '../storage/transfer.js';

const Usage = Type.Object({ rows: Type.Integer(), bytes: Type.Integer() });
const ID = /^[a-z][a-z0-9-]{0,63}$/;

/** `/api/v1/plugins/{id}/data`: what a plugin has stored. Also of one that is gone: data outlives its plugin until it is purged. */
export function pluginDataApi(
  storage: StorageService,
  host: PluginHost,
  /** What else is kept for a plugin by its id, and goes with its data. */
  purges: readonly ((id: string) => Promise<void>)[],
): KernelRoute[] {
  const path = '/api/v1/plugins/:id/data';
  const common = { path, tag: 'plugins', permission: 'plugins.manage' as const };
  const known = async (id: string): Promise<string> => {
    if (ID.test(id) && (host.get(id) !== undefined || (await storage.hasData(id)))) return id;
    throw new AtollError('PLUGIN_NOT_FOUND', `There is no plugin "${id}", nor data of it.`);
  };
  return [
    {
      ...common,
      method: 'GET',
      summary: 'Everything the plugin has stored, as lines of JSON',
      contentType: 'application/x-ndjson',
      handle: async ({ params }, ctx) => {
        const id = await known(params.id!);
        ctx.type = 'application/x-ndjson';
        ctx.body = Readable.from(exportPlugin(storage, id), { objectMode: false });
      },
    },
    {
      ...common,
      method: 'PUT',
      summary: 'Add what was exported; documents of the same id are replaced',
      response: Type.Object({ documents: Type.Integer(), blobs: Type.Integer() }),
      handle: async ({ params }, ctx) => importPlugin(storage, await known(params.id!), ctx.req),
    },
    {
      ...common,
      method: 'DELETE',
      summary: 'Delete everything the plugin has stored; tells how much that was',
      response: Usage,
      handle: async ({ params }) => {
        // Of one that is gone and has stored nothing, something may be left there all the same.
        if (ID.test(params.id!)) await Promise.all(purges.map((purge) => purge(params.id!)));
        const id = await known(params.id!);
        const before = await storage.usage(id);
        await storage.purge(id);
        return before;
      },
    },
  ];
}
