import { Type } from 'typebox';
import { closed } from './parts.js';

/* Where things are kept, and other nodes. */

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
