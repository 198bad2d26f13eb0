import { allows } from '@atoll/plugin-sdk/contract';
import { Type } from 'typebox';
import { actorOf, type KernelRequest, type KernelRoute } from '../http/kernel-route.js';
import type { Identity } from '../identity/index.js';
import { type JobQuery, type JobService, STATES } from '../jobs/index.js';

const Time = Type.String({ format: 'date-time' });
const State = Type.Union(STATES.map((state) => Type.Literal(state)));
const Job = Type.Object({
  id: Type.String(),
  plugin: Type.String(),
  name: Type.String(),
  state: State,
  organisation: Type.String(),
  priority: Type.String({ description: 'LOW, NORMAL, HIGH, URGENT or CRITICAL' }),
  key: Type.Optional(Type.String()),
  attempts: Type.Integer({ description: 'Starts so far.' }),
  createdAt: Time,
  dueAt: Time,
  startedAt: Type.Optional(Time),
  finishedAt: Type.Optional(Time),
  progress: Type.Optional(Type.Number({ description: 'From 0 to 1, while it runs.' })),
  estimatedEnd: Type.Optional(Time),
  error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() })),
  data: Type.Optional(Type.Unknown()),
  result: Type.Optional(Type.Unknown()),
});
const Query = Type.Object({
  limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
  cursor: Type.Optional(Type.String({ maxLength: 200 })),
  plugin: Type.Optional(Type.String({ maxLength: 64 })),
  name: Type.Optional(Type.String({ maxLength: 64 })),
  state: Type.Optional(State),
  organisation: Type.Optional(Type.String({ maxLength: 100 })),
});

/** Those who manage all organisations see the jobs of all of them; the others those of their own. */
async function orgOf({ organisations }: Identity, request: KernelRequest): Promise<string | undefined> {
  const actor = actorOf(request);
  const { organisation } = request.query;
  if (organisation === undefined && allows(actor, 'organisations.manage')) return undefined;
  return organisations.chosen(actor, organisation);
}

/** `/api/v1/jobs`: what plugins do in the background. Jobs that failed stay there until they are replayed or their time is over. */
export function jobApi(jobs: JobService, identity: Identity): KernelRoute[] {
  const base = '/api/v1/jobs';
  const read = { tag: 'jobs', permission: 'jobs.read' as const };
  const manage = { tag: 'jobs', permission: 'jobs.manage' as const, method: 'POST' as const, response: Job };
  return [
    {
      ...read,
      method: 'GET',
      path: base,
      summary: 'Jobs, the latest first, without their data and results',
      query: Query,
      response: Type.Object({ items: Type.Array(Job), nextCursor: Type.Optional(Type.String()) }),
      handle: async (request) => {
        const organisation = await orgOf(identity, request);
        const query = request.query as unknown as JobQuery;
        return jobs.list({ ...query, ...(organisation !== undefined && { organisation }) });
      },
    },
    {
      ...read,
      method: 'GET',
      path: `${base}/:id`,
      summary: 'One job, with its data and result',
      response: Job,
      handle: async (request) => jobs.get(request.params.id!, await orgOf(identity, request)),
    },
    {
      ...manage,
      path: `${base}/:id/cancel`,
      summary: 'Cancel a job; the handler of one that runs is told',
      handle: async (request) => jobs.cancel(request.params.id!, await orgOf(identity, request)),
    },
    {
      ...manage,
      path: `${base}/:id/replay`,
      summary: 'Do a job again that has failed or was cancelled',
      handle: async (request) => jobs.replay(request.params.id!, await orgOf(identity, request)),
    },
  ];
}
