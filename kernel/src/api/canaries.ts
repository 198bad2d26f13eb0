import { Type } from 'typebox';
import type { KernelRequest, KernelRoute } from '../http/kernel-route.js';
import type { Canaries } from '../plugins/canary/canaries.js';
import type { CanaryView } from '../plugins/canary/canary-view.js';

const Figures = Type.Object({
  version: Type.String(),
  calls: Type.Integer(),
  errors: Type.Integer(),
  errorRate: Type.Number(),
  p50Ms: Type.Union([Type.Number(), Type.Null()]),
  p95Ms: Type.Union([Type.Number(), Type.Null()]),
  callsInFlight: Type.Integer(),
  heapBytes: Type.Optional(Type.Integer()),
  cpuMs: Type.Optional(Type.Number()),
});
const View = Type.Object({
  id: Type.String(),
  from: Type.String(),
  to: Type.String(),
  state: Type.String({ description: 'running, promoted, rolled-back or aborted' }),
  reason: Type.Optional(Type.String()),
  startedAt: Type.String(),
  endedAt: Type.Optional(Type.String()),
  spec: Type.Object({}, { description: 'Which calls it gets, and the rule.' }),
  running: Figures,
  candidate: Figures,
});

/** `/api/v1/plugins/{id}/canary`: a version that is tried beside the running one. `upgrade` with `canary` begins it. */
export function canaryApi(canaries: Canaries): KernelRoute[] {
  const path = '/api/v1/plugins/:id/canary';
  const common = { tag: 'plugins', response: View };
  const manage = { ...common, method: 'POST' as const, permission: 'plugins.manage' as const };
  const acting = async ({ params, note }: KernelRequest, act: (id: string) => Promise<CanaryView>) => {
    const id = params.id!;
    const view = await act(id);
    const { from, to, state, running, candidate } = view;
    note({ target: `plugin:${id}`, before: { version: from }, after: { from, to, state, running, candidate } });
    return view;
  };
  return [
    {
      ...common,
      method: 'GET',
      path,
      permission: 'plugins.inspect',
      summary: 'The canary of a plugin, or how the latest one ended: both versions side by side',
      handle: ({ params }) => canaries.view(params.id!),
    },
    {
      ...manage,
      path: `${path}/promote`,
      action: 'plugins.canary.promote',
      summary: 'Put the canary in the place of the running version now',
      handle: (request) => acting(request, (id) => canaries.promote(id)),
    },
    {
      ...manage,
      path: `${path}/abort`,
      action: 'plugins.canary.abort',
      summary: 'End the canary; the running version goes on',
      handle: (request) => acting(request, (id) => canaries.abort(id)),
    },
  ];
}
