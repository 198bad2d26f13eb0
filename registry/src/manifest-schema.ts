import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false };
/** Where a list has no natural bound: enough for any honest plugin, too little to slow the kernel down. */
const MANY = 200;

const names = (description: string) =>
  Type.Record(Type.String(), Type.String(), { default: {}, maxProperties: MANY, description });
const strings = (description: string) =>
  Type.Array(Type.String({ minLength: 1, maxLength: 500 }), { default: [], maxItems: MANY, description });
const flag = (description: string) => Type.Boolean({ default: false, description });

const Events = Type.Object(
  { publish: strings('Topics it may publish.'), subscribe: strings('Topics it may listen to.') },
  {
    ...closed,
    default: {},
    description: 'Topics such as `user.created`; `*` stands for one segment, a last `**` for the rest.',
  },
);

const Permissions = Type.Object(
  {
    net: strings(
      'Origins that `fetch` may reach: `https://api.example.com`, `https://*.example.com`, `config:<key>`, `*`.',
    ),
    storage: flag('Typed collections and blobs.'),
    gpu: flag('GPU leases.'),
    jobs: flag('Background jobs.'),
    schedule: flag('Timed jobs.'),
    cache: flag('The shared cache.'),
    secrets: strings('Names of secrets it may put into outgoing headers.'),
    events: Events,
  },
  { ...closed, default: {}, description: 'What it asks for. What is not listed here is denied.' },
);

// Its names are checked by `propertyNames`, not as a pattern of a closed record: TypeBox throws when it fills the defaults of those.
const Access = Type.Record(
  Type.String(),
  Type.Object(
    {
      title: Type.String({ minLength: 1, maxLength: 200, description: 'What it allows, for people.' }),
      roles: Type.Optional(
        Type.Array(Type.Union(['operator', 'developer', 'user', 'viewer'].map((role) => Type.Literal(role))), {
          maxItems: 10,
          description: 'Built-in roles that have it; `admin` has all.',
        }),
      ),
    },
    closed,
  ),
  {
    default: {},
    maxProperties: 100,
    propertyNames: { type: 'string', pattern: '^[a-z][a-z0-9.-]{0,63}$' },
    description: 'Permissions that its routes and channels can ask callers for; `write` is `<id>/write` to others.',
  },
);

const Limits = Type.Object(
  {
    memoryMb: Type.Integer({ minimum: 8, maximum: 1024, default: 64, description: 'Heap of its isolate.' }),
    timeoutMs: Type.Integer({
      minimum: 10,
      maximum: 600_000,
      default: 5000,
      description: 'Longest time for one call.',
    }),
    concurrency: Type.Integer({ minimum: 1, maximum: 1024, default: 16, description: 'Calls at the same time.' }),
  },
  { ...closed, default: {} },
);

const Errors = Type.Object(
  {
    body: Type.Unknown({
      description: 'JSON; `{detail}`, `{code}`, `{title}`, `{status}`, `{type}` in its texts are filled in.',
    }),
    types: Type.Optional(
      Type.Record(Type.String(), Type.String(), { description: 'Status (`429`) or class (`4xx`) → `{type}`.' }),
    ),
  },
  { ...closed, description: 'An error body of its own for all errors under its mounts.' },
);

/** The `atoll` field of a plugin's package.json. */
export const ManifestField = Type.Object(
  {
    id: Type.String({
      pattern: '^[a-z][a-z0-9-]*$',
      maxLength: 64,
      description: 'Unique; lower case letters, digits and dashes.',
    }),
    title: Type.Optional(
      Type.String({ minLength: 1, maxLength: 100, description: 'Name for people; the id when absent.' }),
    ),
    description: Type.Optional(Type.String({ maxLength: 1000 })),
    category: Type.String({ default: 'other', minLength: 1, maxLength: 50 }),
    engine: Type.String({ default: '*', description: 'Kernel versions it runs on, a semver range.' }),
    entry: Type.String({
      default: 'src/index.ts',
      minLength: 1,
      maxLength: 200,
      description: 'Entry file, relative to the package.',
    }),
    mounts: strings('Path prefixes it owns, such as `/api/v1/greeter`.'),
    dependencies: names('Plugin id → semver range.'),
    optionalDependencies: names('Plugin id → semver range; it starts without them, too.'),
    conflicts: names('Plugin id → semver range of versions it can not run beside.'),
    provides: names('Service → semver version of the contract.'),
    consumes: names('Service → semver range.'),
    permissions: Permissions,
    access: Access,
    limits: Limits,
    config: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: 'JSON Schema of its configuration; `secret: true` masks a value.',
      }),
    ),
    errors: Type.Optional(Errors),
  },
  { ...closed, title: 'Atoll plugin manifest' },
);

export type ManifestField = Static<typeof ManifestField>;

/** The manifest as JSON Schema, for documents and editors. */
export const manifestJsonSchema: Readonly<Record<string, unknown>> = JSON.parse(
  JSON.stringify({ $schema: 'https://json-schema.org/draft/2020-12/schema', ...ManifestField }),
) as Record<string, unknown>;
