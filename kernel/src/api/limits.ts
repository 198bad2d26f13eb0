import { AtollError } from '@atoll/plugin-sdk/contract';
import { Type } from 'typebox';
import { LimitRuleSection } from '../config/index.js';
import type { KernelRoute } from '../http/kernel-route.js';
import { listOf } from '../identity/page.js';
import type { LimitRule, RateLimits } from '../limits/index.js';

const { id: _, ...body } = LimitRuleSection.properties;
const Rule = Type.Object({ ...LimitRuleSection.properties, source: Type.Optional(Type.String()) });
const ID = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** `/api/v1/limits`: how often who may call what. */
export function limitApi(limits: RateLimits): KernelRoute[] {
  const base = '/api/v1/limits';
  const common = { tag: 'limits', permission: 'limits.manage' as const };
  return [
    {
      ...common,
      method: 'GET',
      path: base,
      summary: 'Rate limits: of the configuration, and those set here',
      response: listOf(Rule),
      handle: () => ({ items: limits.list() }),
    },
    {
      ...common,
      method: 'PUT',
      path: `${base}/:id`,
      action: 'limits.put',
      summary: 'Set a rate limit; it holds at once, and instead of one of the configuration with the same id',
      body: Type.Object(body, { additionalProperties: false }),
      response: Rule,
      handle: ({ params, body: rule }) => limits.put({ ...(rule as Omit<LimitRule, 'id'>), id: checkedId(params.id!) }),
    },
    {
      ...common,
      method: 'DELETE',
      path: `${base}/:id`,
      action: 'limits.remove',
      summary: 'Take a rate limit away that was set here',
      handle: ({ params }) => limits.remove(params.id!),
    },
  ];
}

function checkedId(id: string): string {
  if (ID.test(id)) return id;
  const message = 'must be lower case letters, digits and dashes';
  throw new AtollError('VALIDATION_FAILED', `The id ${message}.`, { errors: [{ pointer: '/id', message }] });
}
