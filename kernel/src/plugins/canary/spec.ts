import { AtollError } from '@atoll/plugin-sdk/contract';
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false };
const Ids = (description: string) =>
  Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { minItems: 1, maxItems: 200, description }));

export const CanaryRule = Type.Object(
  {
    minCalls: Type.Integer({
      minimum: 1,
      maximum: 100_000,
      description: 'Calls of a version before it is judged; 20.',
    }),
    errorMargin: Type.Number({
      minimum: 0,
      maximum: 1,
      description:
        'It is rolled back when its error rate is by more than this above that of the running version; 0.05.',
    }),
    latencyFactor: Type.Number({
      minimum: 1,
      maximum: 1_000,
      description: 'It is rolled back when its p95 is above this many times that of the running version (1.5), and',
    }),
    latencyMarginMs: Type.Integer({ minimum: 0, maximum: 600_000, description: 'so many ms more; 50.' }),
    promoteAfterMs: Type.Union([Type.Integer({ minimum: 0, maximum: 2_592_000_000 }), Type.Null()], {
      description: 'It is promoted after this time, ten minutes; null: not by time.',
    }),
    promoteAfterCalls: Type.Union([Type.Integer({ minimum: 1, maximum: 100_000_000 }), Type.Null()], {
      description: 'It is promoted after so many calls that went well; null: not by calls, which is the default.',
    }),
  },
  closed,
);
export type CanaryRule = Static<typeof CanaryRule>;

/** Which calls go to the new version, and when it is promoted or rolled back. */
export const CanaryRequest = Type.Object(
  {
    share: Type.Optional(Type.Number({ minimum: 0, maximum: 1, description: 'Part of all callers.' })),
    header: Type.Optional(
      Type.Object(
        {
          name: Type.String({ pattern: '^[A-Za-z0-9-]{1,100}$' }),
          value: Type.Optional(Type.String({ maxLength: 500 })),
        },
        { ...closed, description: 'HTTP requests with this header; without a value, with any.' },
      ),
    ),
    users: Ids('Ids of users, whatever keys and sessions they use; or of API keys.'),
    organisations: Ids('Ids of organisations.'),
    rule: Type.Optional(Type.Partial(CanaryRule)),
  },
  closed,
);
export type CanaryRequest = Static<typeof CanaryRequest>;

export type CanarySpec = Omit<CanaryRequest, 'rule'> & { rule: CanaryRule };

const DEFAULTS: CanaryRule = {
  minCalls: 20,
  errorMargin: 0.05,
  latencyFactor: 1.5,
  latencyMarginMs: 50,
  promoteAfterMs: 600_000,
  promoteAfterCalls: null,
};

/** Throws VALIDATION_FAILED when nothing says which calls it gets. */
export function toSpec({ rule, ...target }: CanaryRequest): CanarySpec {
  if (Object.values(target).every((member) => member === undefined))
    throw new AtollError('VALIDATION_FAILED', 'A canary needs a share, a header, users or organisations.', {
      errors: [{ pointer: '/canary', message: 'names no calls' }],
    });
  return { ...target, rule: { ...DEFAULTS, ...rule } };
}
