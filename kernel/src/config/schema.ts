import { type Static, Type } from 'typebox';
import { RehearsalSection } from './rehearsal-section.js';

/** One TypeBox schema per section; `secret: true` marks values that are masked wherever configuration is shown. */
const closed = { additionalProperties: false };

export const ServerSection = Type.Object(
  {
    host: Type.String({ default: '127.0.0.1', description: 'Address to listen on (env ATOLL_HOST).' }),
    port: Type.Integer({
      minimum: 0,
      maximum: 65535,
      default: 7070,
      description: 'Port (env ATOLL_PORT); 0 picks a free one.',
    }),
    dataDir: Type.String({ default: '.atoll', description: 'Folder for keys, state and caches (env ATOLL_DATA_DIR).' }),
    maxBodyBytes: Type.Integer({
      minimum: 1,
      default: 1_048_576,
      description: 'Largest request body unless a route says otherwise, in bytes.',
    }),
    shutdownMs: Type.Integer({
      minimum: 0,
      default: 10_000,
      description: 'How long in-flight requests may take after SIGTERM, in ms.',
    }),
    headersTimeoutMs: Type.Integer({
      minimum: 100,
      default: 15_000,
      description: "How long a client may take to send a request's headers, in ms.",
    }),
    requestTimeoutMs: Type.Integer({
      minimum: 100,
      default: 120_000,
      description: 'How long a client may take to send a whole request, in ms.',
    }),
    trustProxy: Type.Boolean({ default: false, description: 'Take the client address from X-Forwarded-For.' }),
    maxConnectionsPerAddress: Type.Integer({
      minimum: 1,
      default: 512,
      description: 'Open TCP connections from one client address.',
    }),
    publicUrl: Type.Optional(
      Type.String({
        pattern: '^https?://',
        description:
          'Where browsers reach this server, such as https://ai.example.com; as they ask for it when absent.',
      }),
    ),
    corsOrigins: Type.Array(Type.String(), {
      default: [],
      description: 'Origins that browsers may call from; `*` allows all.',
    }),
  },
  closed,
);

export const OidcProviderSection = Type.Object(
  {
    issuer: Type.String({ pattern: '^https?://' }),
    clientId: Type.String({ minLength: 1 }),
    clientSecret: Type.Optional(Type.String({ minLength: 1, secret: true })),
    title: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    scopes: Type.Optional(Type.Array(Type.String(), { default: ['openid', 'profile', 'email'] })),
    organisation: Type.Optional(Type.String({ default: 'default', description: 'In which its users act.' })),
    createUsers: Type.Optional(Type.Boolean({ default: true, description: 'Makes an account at the first login.' })),
    roleClaim: Type.Optional(
      Type.String({ minLength: 1, description: 'Claim that roles come from: `groups`, `realm_access.roles`.' }),
    ),
    roles: Type.Optional(
      Type.Record(Type.String(), Type.Array(Type.String()), {
        default: {},
        description: 'Value of that claim → roles here.',
      }),
    ),
    defaultRoles: Type.Optional(
      Type.Array(Type.String(), { default: ['user'], description: 'When no value of the claim is listed.' }),
    ),
  },
  closed,
);

export const AuthSection = Type.Object(
  {
    adminKey: Type.Optional(
      Type.String({
        minLength: 16,
        secret: true,
        description: 'The root API key (env ATOLL_ADMIN_KEY); generated when absent.',
      }),
    ),
    masterKey: Type.Optional(
      Type.String({
        minLength: 32,
        secret: true,
        description:
          'Signs access tokens and encrypts what is secret in the database (env ATOLL_MASTER_KEY); generated when absent. The same on all nodes.',
      }),
    ),
    previousMasterKey: Type.Optional(
      Type.String({
        minLength: 32,
        secret: true,
        description:
          'The master key from before (env ATOLL_MASTER_KEY_PREVIOUS), on all nodes while it is exchanged: `atoll secrets rotate-master`.',
      }),
    ),
    accessTokenSeconds: Type.Integer({
      minimum: 10,
      maximum: 86_400,
      default: 900,
      description: 'How long an access token is valid.',
    }),
    sessionSeconds: Type.Integer({
      minimum: 60,
      default: 2_592_000,
      description: 'How long a login can be kept alive by refreshing it.',
    }),
    minPasswordLength: Type.Integer({ minimum: 8, maximum: 100, default: 10, description: 'Of new passwords.' }),
    loginAttempts: Type.Integer({
      minimum: 1,
      default: 5,
      description: 'Failed logins to one account from one address before it has to wait; the wait doubles each time.',
    }),
    loginAttemptsPerAddress: Type.Integer({
      minimum: 1,
      default: 50,
      description: 'Failed logins to any accounts from one address before it has to wait.',
    }),
    oidc: Type.Record(Type.String(), OidcProviderSection, {
      default: {},
      description: 'OpenID Connect providers by id. Their redirect URI is <server>/api/v1/auth/oidc/<id>/callback.',
    }),
  },
  closed,
);

const literals = <const T extends string>(...values: T[]) => Type.Union(values.map((value) => Type.Literal(value)));

export const LimitRuleSection = Type.Object(
  {
    id: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$' }),
    per: literals('key', 'user', 'address', 'organisation'),
    only: Type.Optional(
      Type.String({ minLength: 1, maxLength: 100, description: 'The one that it is for; each of them when absent.' }),
    ),
    tier: Type.Optional(Type.String({ minLength: 1, maxLength: 63, description: 'Organisations of this tier only.' })),
    class: literals('any', 'auth', 'read', 'write', 'plugin'),
    points: Type.Integer({ minimum: 1, maximum: 1_000_000_000, description: 'Calls.' }),
    seconds: Type.Integer({ minimum: 1, maximum: 86_400, description: 'Within so long.' }),
  },
  { ...closed, description: 'Classes: logging in (`auth`), reading and changing through the API, calls of plugins.' },
);

export const LimitsSection = Type.Object(
  {
    rules: Type.Array(LimitRuleSection, {
      default: [{ id: 'login', per: 'address', class: 'auth', points: 1_200, seconds: 60 }],
      description: 'Rate limits; further ones can be set at /api/v1/limits.',
    }),
  },
  closed,
);

export const NodeSection = Type.Object(
  {
    id: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$',
        description:
          'Name of this node among those that share a database; made and kept in the data directory when absent.',
      }),
    ),
    address: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 500,
        description: 'Where this node is reached, for GET /api/v1/nodes; what it listens on when absent.',
      }),
    ),
    heartbeatMs: Type.Integer({
      minimum: 100,
      maximum: 60_000,
      default: 2_000,
      description: 'Time between heartbeats, in ms; a node that misses three of them counts as dead.',
    }),
  },
  closed,
);

export const RedisSection = Type.Object(
  {
    url: Type.Optional(
      Type.String({
        pattern: '^rediss?://',
        secret: true,
        description:
          'For limits, caches and events that several nodes share (env REDIS_URL), such as redis://host:6379; each for itself when absent.',
      }),
    ),
  },
  closed,
);

export const AuditSection = Type.Object(
  {
    retentionDays: Type.Integer({
      minimum: 1,
      default: 365,
      description: 'How long entries of the audit trail are kept.',
    }),
  },
  closed,
);

export const DatabaseSection = Type.Object(
  {
    url: Type.Optional(
      Type.String({
        pattern: '^postgres(ql)?://',
        secret: true,
        description:
          'A PostgreSQL server (env DATABASE_URL), such as postgres://user:password@host/database; embedded when absent.',
      }),
    ),
    poolMax: Type.Integer({ minimum: 2, maximum: 500, default: 10, description: 'Connections to the server.' }),
    connectTimeoutMs: Type.Integer({
      minimum: 100,
      default: 5_000,
      description: 'How long to wait for a connection, in ms.',
    }),
    statementTimeoutMs: Type.Integer({ minimum: 100, default: 30_000, description: 'Longest statement, in ms.' }),
    transactionTimeoutMs: Type.Integer({ minimum: 100, default: 10_000, description: 'Longest transaction, in ms.' }),
    idleTransactionMs: Type.Integer({
      minimum: 100,
      default: 15_000,
      description: 'A transaction in which nothing happens for so long is rolled back, in ms.',
    }),
    slowQueryMs: Type.Integer({
      minimum: 0,
      default: 500,
      description: 'Statements that take longer are logged, in ms.',
    }),
  },
  closed,
);

const quota = { maxRows: Type.Integer({ minimum: 0 }), maxBytes: Type.Integer({ minimum: 0 }) };

export const StorageSection = Type.Object(
  {
    maxRows: Type.Integer({ minimum: 0, default: 1_000_000, description: 'Documents and blobs of one plugin.' }),
    maxBytes: Type.Integer({
      minimum: 0,
      default: 4_294_967_296,
      description: 'Documents (as JSON) and blobs of one plugin, in bytes.',
    }),
    quotas: Type.Record(Type.String(), Type.Partial(Type.Object(quota, closed)), {
      default: {},
      description: 'Per plugin id: other values for `maxRows` and `maxBytes`.',
    }),
    maxDocumentBytes: Type.Integer({
      minimum: 1024,
      maximum: 16_777_216,
      default: 1_048_576,
      description: 'One document, as JSON, in bytes.',
    }),
    maxCollections: Type.Integer({ minimum: 1, default: 100, description: 'Collections that one plugin may declare.' }),
    transactionMs: Type.Integer({
      minimum: 100,
      default: 30_000,
      description: "How long a plugin's transaction may stay open, in ms. It holds nothing in the database meanwhile.",
    }),
  },
  closed,
);

export const CacheSection = Type.Object(
  {
    maxEntries: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 10_000,
      description: 'Entries of one plugin.',
    }),
    maxBytes: Type.Integer({
      minimum: 1024,
      default: 33_554_432,
      description: 'Entries of one plugin, in bytes. Beyond it those used longest ago go.',
    }),
    maxValueBytes: Type.Integer({
      minimum: 1024,
      maximum: 8_388_608,
      default: 1_048_576,
      description: 'One value, in bytes.',
    }),
    defaultTtlMs: Type.Integer({
      minimum: 1,
      default: 3_600_000,
      description: 'How long an entry is kept whose plugin does not say, in ms.',
    }),
    maxLoadMs: Type.Integer({
      minimum: 100,
      maximum: 3_600_000,
      default: 60_000,
      description: 'How long others wait for one that loads a value before they load it themselves, in ms.',
    }),
    timeoutMs: Type.Integer({
      minimum: 10,
      default: 250,
      description: 'How long to wait for Redis before going on as if nothing were cached, in ms.',
    }),
  },
  closed,
);

export const JobsSection = Type.Object(
  {
    maxDataBytes: Type.Integer({
      minimum: 1024,
      maximum: 16_777_216,
      default: 1_048_576,
      description: "A job's data, and its result, as JSON, in bytes.",
    }),
    maxWaiting: Type.Integer({ minimum: 1, default: 100_000, description: 'Unfinished jobs of one plugin.' }),
    agingSeconds: Type.Integer({
      minimum: 1,
      maximum: 86_400,
      default: 60,
      description: 'A job that has waited so long counts like a new one of the next higher priority.',
    }),
    keepSeconds: Type.Integer({
      minimum: 60,
      default: 604_800,
      description: 'How long finished jobs are kept with their results, in seconds.',
    }),
  },
  closed,
);

export const WsSection = Type.Object(
  {
    maxConnections: Type.Integer({ minimum: 1, default: 1000, description: 'Open WebSocket connections.' }),
    maxConnectionsPerAddress: Type.Integer({
      minimum: 1,
      default: 50,
      description: 'Open WebSocket connections from one client address.',
    }),
    maxMessageBytes: Type.Integer({
      minimum: 1024,
      default: 1_048_576,
      description: 'Largest message from a client, in bytes.',
    }),
    maxBufferedBytes: Type.Integer({
      minimum: 1024,
      default: 4_194_304,
      description: 'A client this far behind stops getting stream chunks until it catches up.',
    }),
    messagesPerSecond: Type.Integer({ minimum: 1, default: 100, description: 'Message budget of one connection.' }),
    maxSubscriptions: Type.Integer({ minimum: 1, default: 100, description: 'Event subscriptions of one connection.' }),
    maxCallsInFlight: Type.Integer({
      minimum: 1,
      default: 32,
      description: 'Calls of one connection at the same time.',
    }),
    heartbeatMs: Type.Integer({ minimum: 10, default: 30_000, description: 'Time between pings to a client, in ms.' }),
  },
  closed,
);

export const SandboxSection = Type.Object(
  {
    grouping: Type.Union([Type.Literal('publisher'), Type.Literal('plugin'), Type.Literal('shared')], {
      default: 'publisher',
      description:
        'Which plugins share a cell process: first-party together and each other publisher apart; each alone; or all.',
    }),
    maxCells: Type.Integer({
      minimum: 2,
      default: 8,
      description: 'Upper bound of cells in regular use; beyond it, groups share.',
    }),
    spares: Type.Integer({ minimum: 0, maximum: 8, default: 1, description: 'Warm cell processes kept ready.' }),
    heartbeatMs: Type.Integer({ minimum: 50, default: 500, description: 'Time between heartbeats of a cell, in ms.' }),
    heartbeatMisses: Type.Integer({
      minimum: 1,
      default: 6,
      description: 'Unanswered heartbeats after which a cell is killed.',
    }),
    graceMs: Type.Integer({
      minimum: 10,
      default: 500,
      description: 'From a missed deadline to dispose, and again from dispose to SIGKILL.',
    }),
    cellBaseMb: Type.Integer({
      minimum: 64,
      default: 256,
      description: 'RSS a cell may use beside what its plugins are allowed.',
    }),
    maxCrashes: Type.Integer({
      minimum: 1,
      default: 5,
      description: 'Crashes within `crashWindowMs` after which a plugin is quarantined.',
    }),
    crashWindowMs: Type.Integer({ minimum: 1000, default: 60_000, description: 'See `maxCrashes`, in ms.' }),
    backoffMs: Type.Integer({ minimum: 1, default: 100, description: 'First restart delay; doubles with each crash.' }),
    backoffMaxMs: Type.Integer({ minimum: 1, default: 10_000, description: 'Longest restart delay, in ms.' }),
    maxMemoryMb: Type.Integer({
      minimum: 16,
      default: 512,
      description: 'Largest `limits.memoryMb` a manifest may ask.',
    }),
    startTimeoutMs: Type.Integer({
      minimum: 100,
      default: 10_000,
      description: "How long a plugin's setup may take, in ms.",
    }),
  },
  closed,
);

export const NetSection = Type.Object(
  {
    narrow: Type.Record(Type.String(), Type.Array(Type.String()), {
      default: {},
      description: 'Per plugin id: the only origins it may reach, out of those its manifest lists.',
    }),
    connectTimeoutMs: Type.Integer({
      minimum: 1,
      default: 10_000,
      description: 'Name lookup, connection and TLS together, in ms.',
    }),
    headersTimeoutMs: Type.Integer({
      minimum: 1,
      default: 300_000,
      description: 'From the end of a request to the head of the answer, in ms.',
    }),
    idleTimeoutMs: Type.Integer({
      minimum: 1,
      default: 300_000,
      description: 'Longest silence of a remote server within an answer, in ms.',
    }),
    maxResponseBytes: Type.Integer({
      minimum: 1,
      default: 268_435_456,
      description: 'Largest answer, decompressed, in bytes.',
    }),
    maxRequestBytes: Type.Integer({ minimum: 1, default: 268_435_456, description: 'Largest request body, in bytes.' }),
    maxRedirects: Type.Integer({ minimum: 0, default: 5, description: 'Redirects followed within one request.' }),
    maxConcurrent: Type.Integer({ minimum: 1, default: 64, description: 'Open requests per plugin.' }),
  },
  closed,
);

export const LogSection = Type.Object(
  {
    level: Type.Union(
      [
        Type.Literal('trace'),
        Type.Literal('debug'),
        Type.Literal('info'),
        Type.Literal('warn'),
        Type.Literal('error'),
        Type.Literal('silent'),
      ],
      { default: 'info', description: 'Lines below this level are not written.' },
    ),
    pretty: Type.Boolean({ default: false, description: 'Lines for people instead of JSON.' }),
    pluginLines: Type.Integer({ minimum: 10, default: 500, description: 'Log lines kept per plugin for the API.' }),
  },
  closed,
);

export const PluginsSection = Type.Object(
  {
    path: Type.Array(Type.String(), {
      default: [],
      description: 'Further folders of plugin packages (env ATOLL_PLUGIN_PATH, `:`-separated).',
    }),
    config: Type.Record(Type.String(), Type.Record(Type.String(), Type.Unknown()), {
      default: {},
      description: 'Per plugin id: values for its `config` schema.',
    }),
    disabled: Type.Array(Type.String(), {
      default: [],
      description: 'Plugins that stay off until enabled through the API.',
    }),
    drainMs: Type.Integer({
      minimum: 0,
      default: 60_000,
      description: 'After a swap, time for what the old version has begun to end there, in ms.',
    }),
    rehearsal: RehearsalSection,
    rehearseBeforeSwap: Type.Array(Type.String(), {
      default: [],
      description:
        'Plugins that are only upgraded to what does the recorded calls as the running version; `*` for all.',
    }),
  },
  closed,
);

export const MarketplaceSection = Type.Object(
  {
    signatures: Type.Union([Type.Literal('first-use'), Type.Literal('required')], {
      default: 'first-use',
      description:
        'What packages of others need: `first-use` takes unsigned ones and trusts a key when it first sees it, `required` takes only what a trusted key has signed.',
    }),
  },
  closed,
);

export const SecretsSection = Type.Record(
  Type.String(),
  Type.Object({ value: Type.String({ secret: true }), hosts: Type.Array(Type.String()) }, closed),
  { default: {}, description: 'Name → value and the hosts (`host` or `host:port`) it may be sent to.' },
);

export const EventsSection = Type.Object(
  {
    queueLimit: Type.Integer({
      minimum: 1,
      default: 1000,
      description: 'Events waiting per listener; beyond it the oldest is dropped and counted.',
    }),
    listenerTimeoutMs: Type.Integer({
      minimum: 1,
      default: 30_000,
      description: 'How long a listener may take for one event before the next one is delivered, in ms.',
    }),
  },
  closed,
);

export const ConfigSchema = Type.Object(
  {
    server: ServerSection,
    auth: AuthSection,
    audit: AuditSection,
    limits: LimitsSection,
    redis: RedisSection,
    node: NodeSection,
    database: DatabaseSection,
    storage: StorageSection,
    cache: CacheSection,
    jobs: JobsSection,
    ws: WsSection,
    sandbox: SandboxSection,
    net: NetSection,
    log: LogSection,
    plugins: PluginsSection,
    marketplace: MarketplaceSection,
    secrets: SecretsSection,
    events: EventsSection,
  },
  closed,
);

export type Config = Static<typeof ConfigSchema>;
/** What a `config/*.ts` file exports: any part of the configuration. */
export type PartialConfig = { [S in keyof Config]?: Partial<Config[S]> };
