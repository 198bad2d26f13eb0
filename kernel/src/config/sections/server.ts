import { Type } from 'typebox';
import { closed, literals } from './parts.js';

/* What clients meet: HTTP, WebSocket, limits, logs, events. */

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
    stallMs: Type.Integer({
      minimum: 100,
      default: 30_000,
      description:
        'How long a client may take nothing of an answer that is on its way to it, in ms; then it is cut off.',
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
