import { AtollError } from '@atoll/plugin-sdk/contract';
import { Type } from 'typebox';
import type { NodeView } from '../cluster/index.js';
import type { KernelRoute } from '../http/kernel-route.js';
import { listOf, type Page, PageQuery, toPage } from '../identity/page.js';

export interface NodeList {
  /** In the order of the ids. */
  list(page: { limit: number; after?: string | undefined }): Promise<NodeView[]>;
  get(id: string): Promise<NodeView | undefined>;
}

const Node = Type.Object({
  id: Type.String(),
  host: Type.String(),
  pid: Type.Integer(),
  address: Type.String(),
  version: Type.String(),
  startedAt: Type.String({ format: 'date-time' }),
  lastSeenAt: Type.String({ format: 'date-time' }),
  state: Type.String({ description: 'starting, ready, fenced, stopping, stopped or dead' }),
  generation: Type.Integer({
    description: 'Of what the installation should run: as far as this node has brought it about.',
  }),
  converged: Type.Boolean({ description: 'It runs what the installation should run.' }),
  problems: Type.Array(Type.Object({ plugin: Type.String(), reason: Type.String() })),
});

/** `/api/v1/nodes`: the kernels of this installation. */
export function nodeApi(nodes: NodeList): KernelRoute[] {
  const common = { method: 'GET' as const, tag: 'nodes', permission: 'nodes.read' as const };
  return [
    {
      ...common,
      path: '/api/v1/nodes',
      summary: 'The nodes of this installation, how far each is, and what it can not run',
      query: Type.Object(PageQuery),
      response: listOf(Node),
      handle: async ({ query }) => {
        const page = query as unknown as Page;
        const found = await nodes.list({ limit: page.limit + 1, after: page.cursor });
        return toPage(found, page, (node) => node);
      },
    },
    {
      ...common,
      path: '/api/v1/nodes/:id',
      summary: 'One node',
      response: Node,
      handle: async ({ params }) => {
        const node = await nodes.get(params.id!);
        if (!node) throw new AtollError('NOT_FOUND', `There is no node "${params.id!.slice(0, 100)}".`);
        return node;
      },
    },
  ];
}
