import { Type } from 'typebox';
import { closed } from './parts.js';

/* Who calls, what is kept of it, and secrets. */

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

export const SecretsSection = Type.Record(
  Type.String(),
  Type.Object({ value: Type.String({ secret: true }), hosts: Type.Array(Type.String()) }, closed),
  { default: {}, description: 'Name → value and the hosts (`host` or `host:port`) it may be sent to.' },
);
