import { Readable } from 'node:stream';
import { allows } from '@atoll/plugin-sdk/contract';
import { Type } from 'typebox';
import type { Audit } from '../audit/index.js';
import type { AuditFilter } from '../audit/reader.js';
import { actorOf, type KernelRequest, type KernelRoute } from '../http/kernel-route.js';
import type { Identity } from '../identity/index.js';
import { listOf, PageQuery } from '../identity/page.js';
import { Id, Text, Time } from './access.js';

const Filter = {
  organisation: Type.Optional(Id),
  actor: Type.Optional(Type.String({ minLength: 1, maxLength: 100, description: 'Id of a user, key or plugin.' })),
  action: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'Such as `users`, `users.update`.' })),
  outcome: Type.Optional(Type.Union([Type.Literal('done'), Type.Literal('denied')])),
  from: Type.Optional(Time),
  to: Type.Optional(Time),
};
const Entry = Type.Object({
  seq: Type.Integer(),
  at: Time,
  organisation: Id,
  actor: Type.Object({ kind: Type.String(), id: Id, user: Type.Optional(Id) }),
  action: Text(200),
  target: Type.Optional(Type.String()),
  outcome: Type.String(),
  code: Type.Optional(Type.String()),
  count: Type.Optional(Type.Integer({ description: 'How often within a few seconds; once when absent.' })),
  address: Type.String(),
  traceId: Type.Optional(Type.String()),
  before: Type.Optional(Type.Unknown()),
  after: Type.Optional(Type.Unknown()),
});
const Report = Type.Object({
  intact: Type.Boolean(),
  entries: Type.Integer(),
  firstSeq: Type.Integer(),
  lastSeq: Type.Integer(),
  problems: Type.Array(Type.Object({ seq: Type.Optional(Type.Integer()), problem: Type.String() })),
});

/** `/api/v1/audit`: who did what. */
export function auditApi(audit: Audit, identity: Identity): KernelRoute[] {
  const base = '/api/v1/audit';
  const read = { tag: 'audit', permission: 'audit.read' as const, method: 'GET' as const };
  return [
    {
      ...read,
      path: base,
      summary: 'Changes and refused calls, the newest first',
      query: Type.Object({
        ...PageQuery,
        cursor: Type.Optional(Type.String({ pattern: '^[0-9]{1,15}$' })),
        ...Filter,
      }),
      response: listOf(Entry),
      handle: async (request) =>
        audit.page(await filterOf(identity, request), request.query as { limit: number; cursor?: string }),
    },
    {
      ...read,
      path: `${base}/export`,
      summary: 'All entries that match, as lines of JSON, the newest first',
      query: Type.Object(Filter),
      contentType: 'application/x-ndjson',
      handle: async (request, ctx) => {
        const lines = audit.lines(await filterOf(identity, request));
        ctx.type = 'application/x-ndjson';
        ctx.body = Readable.from(lines, { objectMode: false });
      },
    },
    {
      ...read,
      permission: 'audit.verify',
      path: `${base}/verify`,
      summary: 'Whether the trail is whole: entries that were altered or are missing',
      response: Report,
      handle: () => audit.verify(),
    },
  ];
}

/** Those who manage all organisations see all of them; the others their own. */
async function filterOf({ organisations }: Identity, request: KernelRequest): Promise<AuditFilter> {
  const actor = actorOf(request);
  const { organisation, ...filter } = request.query as AuditFilter;
  if (organisation === undefined && allows(actor, 'organisations.manage')) return filter;
  return { ...filter, organisation: await organisations.chosen(actor, organisation) };
}
