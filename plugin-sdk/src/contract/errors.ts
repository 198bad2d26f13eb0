/**
 * The one catalogue of error codes. Every error that leaves Atoll (HTTP problem, WebSocket message, CLI, plugin call)
 * carries one of these codes. `status` is the HTTP status, `title` the RFC 9457 title, `hint` what to do next.
 */
export const ERRORS = {
  // --- bad input
  BAD_REQUEST: { status: 400, title: 'Bad request', hint: 'Check the request against GET /openapi.json.' },
  INVALID_JSON: {
    status: 400,
    title: 'Body is not valid JSON',
    hint: 'Send well-formed JSON with content-type application/json.',
  },
  INVALID_HEADER: { status: 400, title: 'Invalid header', hint: 'Correct the named header.' },
  VALIDATION_FAILED: {
    status: 422,
    title: 'Input does not match the schema',
    hint: 'Correct the fields listed in `errors`.',
  },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'Unsupported media type', hint: 'Send the body as application/json.' },
  BODY_TOO_LARGE: {
    status: 413,
    title: 'Body too large',
    hint: 'Send less, or ask the operator to raise the limit of this route.',
  },
  // --- access
  UNAUTHENTICATED: {
    status: 401,
    title: 'Credentials needed',
    hint: 'Send `Authorization: Bearer <access token or API key>`. The root key is in <data dir>/root.key.',
  },
  LOGIN_FAILED: { status: 401, title: 'Login failed', hint: 'Check the user name and the password.' },
  SECOND_FACTOR_NEEDED: {
    status: 401,
    title: 'A second factor is needed',
    hint: 'Send the login again with `code` (of the authenticator app) or `recoveryCode`.',
  },
  TOKEN_INVALID: {
    status: 401,
    title: 'The token is not valid',
    hint: 'Log in again. A refresh token can be used once; using it again ends its session.',
  },
  FORBIDDEN: { status: 403, title: 'Not allowed', hint: 'Ask an operator for the named permission.' },
  NOT_FOUND: { status: 404, title: 'Not found', hint: 'GET /openapi.json lists what exists.' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'Method not allowed', hint: 'Use a method from the `allow` header.' },
  CONFLICT: { status: 409, title: 'Conflict', hint: 'Fetch the current state and try again.' },
  TOO_MANY_REQUESTS: { status: 429, title: 'Too many requests', hint: 'Wait for the seconds in `retry-after`.' },
  TOO_MANY_CONNECTIONS: { status: 429, title: 'Too many connections', hint: 'Close connections that are not needed.' },
  // --- plugin life
  PLUGIN_NOT_FOUND: { status: 404, title: 'Unknown plugin', hint: 'GET /api/v1/plugins lists the installed ones.' },
  PLUGIN_NOT_ACTIVE: {
    status: 503,
    title: 'Plugin is not active',
    hint: 'See its `state` and `reason` at GET /api/v1/plugins/{id}.',
  },
  PLUGIN_NEEDED: {
    status: 409,
    title: 'Other plugins need this plugin',
    hint: 'Stop the dependants first, or repeat with `{"cascade": true}`.',
  },
  MANIFEST_INVALID: {
    status: 422,
    title: 'Invalid plugin manifest',
    hint: 'Correct the `atoll` field of package.json as listed.',
  },
  PLUGIN_CLASH: {
    status: 409,
    title: 'Plugins clash',
    hint: 'Two plugins claim the same id or path; remove or change one.',
  },
  DEPENDENCY_CYCLE: { status: 409, title: 'Plugins depend on each other in a circle', hint: 'Break the named chain.' },
  DEPENDENCY_MISSING: {
    status: 409,
    title: 'A plugin needs something that is not there',
    hint: 'Install or enable what is named.',
  },
  BUNDLE_FAILED: { status: 422, title: 'The plugin does not build', hint: 'Correct the source at the named position.' },
  PLUGIN_HANDOFF_FAILED: {
    status: 502,
    title: 'The plugin could not hand its state over',
    hint: 'See GET /api/v1/plugins/{id}/logs; or give the state up with `discardState`.',
  },
  REHEARSAL_DIFFERS: {
    status: 409,
    title: 'The new version does otherwise than the running one',
    hint: 'Look at `summary` and `calls`; when the differences are meant, repeat with `"rehearse": false`.',
  },
  REHEARSAL_NOT_RECORDED: {
    status: 409,
    title: 'Nothing is recorded that could be rehearsed',
    hint: 'Let calls be recorded first: `atoll plugins record <id>`; what setup asks of the host is recorded from the next start on.',
  },
  PLUGIN_START_FAILED: { status: 502, title: 'The plugin failed to start', hint: 'See GET /api/v1/plugins/{id}/logs.' },
  PLUGIN_QUARANTINED: { status: 503, title: 'The plugin crashed too often', hint: 'Correct it, then enable it again.' },
  CONFIG_INVALID: { status: 422, title: 'Invalid configuration', hint: 'Correct the named key.' },
  DEPENDENCY_CONFLICT: {
    status: 409,
    title: 'Requirements of plugins contradict each other',
    hint: 'Follow the suggestion in `suggestions`, or change one of the named ranges.',
  },
  // --- packages and the registry
  PACKAGE_INVALID: { status: 422, title: 'Not a plugin package', hint: 'Make one with `atoll pack <folder>`.' },
  PACKAGE_DAMAGED: {
    status: 422,
    title: 'The package is cut off or damaged',
    hint: 'Fetch it again; `atoll verify <file>` checks a package.',
  },
  PACKAGE_ALTERED: {
    status: 422,
    title: 'The package is not what its publisher packed',
    hint: 'Do not use it; fetch it again from its publisher.',
  },
  PACKAGE_TOO_LARGE: {
    status: 413,
    title: 'The package is too large',
    hint: 'Leave out what is not needed, or fetch large data at run time.',
  },
  PACKAGE_MISMATCH: {
    status: 422,
    title: 'Another package than the one asked for',
    hint: 'Do not use it; tell the operator of the source that it serves the wrong file.',
  },
  PACKAGE_RENAMED: {
    status: 409,
    title: 'A plugin keeps its id and its package name',
    hint: 'Publish under the name that the id has had, or choose a new id.',
  },
  PACKAGE_DOWNGRADE: {
    status: 409,
    title: 'Older than what is published',
    hint: 'Raise the version, or publish with `--backport` when an older line is meant to go on.',
  },
  PACKAGE_QUARANTINED: {
    status: 403,
    title: 'The package is quarantined',
    hint: 'Take a version that is signed with a key that is trusted.',
  },
  SIGNATURE_MISSING: { status: 403, title: 'The package is not signed', hint: 'Pack it again with a signing key.' },
  SIGNATURE_INVALID: {
    status: 422,
    title: 'The signature does not fit the package',
    hint: 'Do not use it; fetch it again from its publisher.',
  },
  KEY_NOT_FOUND: { status: 404, title: 'Unknown publisher key', hint: '`atoll keys list` shows the known ones.' },
  KEY_UNTRUSTED: {
    status: 403,
    title: 'The publisher is not trusted',
    hint: 'Check the key with its publisher, then `atoll keys trust <key>`.',
  },
  KEY_REVOKED: {
    status: 403,
    title: 'The publisher key is revoked',
    hint: 'Ask the publisher for a package with a new key.',
  },
  PUBLISHER_MISMATCH: {
    status: 409,
    title: 'The id belongs to another publisher',
    hint: 'Choose another id; or, if the publisher has a new key, `atoll keys trust <key> --publisher <name>`.',
  },
  CONSENT_NEEDED: {
    status: 409,
    title: 'More permissions are asked for',
    hint: 'Look at `plan`, and send it again with `"consent": true` if you agree.',
  },
  VERSION_EXISTS: {
    status: 409,
    title: 'The version is published already, with other content',
    hint: 'Raise the version: what is published never changes.',
  },
  VERSION_NOT_FOUND: { status: 404, title: 'No such version', hint: '`atoll registry info <id>` lists the versions.' },
  KEY_UNUSABLE: {
    status: 422,
    title: 'The key can not be used',
    hint: 'Name a file with an Ed25519 key in PEM; `atoll keys create` makes one.',
  },
  STORE_DAMAGED: {
    status: 500,
    title: 'The plugin store is damaged',
    hint: 'Run `atoll registry check --repair`, or restore the folder from a backup.',
  },
  STORE_BUSY: { status: 503, title: 'Another process changes the plugin store', hint: 'Try again in a moment.' },
  STORE_UNWRITABLE: {
    status: 503,
    title: 'The plugin store can not be written',
    hint: 'Free disk space, or correct its folder and the rights to it.',
  },
  SOURCE_UNREACHABLE: {
    status: 502,
    title: 'The package source cannot be reached',
    hint: 'Check its address, or import an offline bundle with `atoll registry import`.',
  },
  SOURCE_BAD_ANSWER: {
    status: 502,
    title: 'The package source answered nonsense',
    hint: 'Check that the configured address is an npm-compatible registry.',
  },
  SOURCE_DENIED: {
    status: 403,
    title: 'The package source refuses access',
    hint: 'Check the token for this registry.',
  },
  // --- a plugin's fault
  PLUGIN_ERROR: { status: 502, title: 'The plugin failed', hint: 'See GET /api/v1/plugins/{id}/logs.' },
  PLUGIN_CRASHED: { status: 502, title: 'The plugin crashed', hint: 'It is being restarted; try again.' },
  PLUGIN_MEMORY: {
    status: 502,
    title: 'The plugin ran out of memory',
    hint: 'It is being restarted; raise `limits.memoryMb` if it needs more.',
  },
  PLUGIN_BAD_RESPONSE: {
    status: 502,
    title: 'The plugin answered with something that cannot be sent',
    hint: 'Return JSON values, a Response or an async iterable.',
  },
  PLUGIN_TIMEOUT: {
    status: 504,
    title: 'The plugin took too long',
    hint: 'Ask for less, or raise `limits.timeoutMs`.',
  },
  PLUGIN_OVERLOADED: {
    status: 503,
    title: 'The plugin is at its concurrency limit',
    hint: 'Try again later, or raise `limits.concurrency`.',
  },
  PLUGIN_FLOODING: {
    status: 502,
    title: 'The plugin sends more than its bridge can take',
    hint: 'Await host calls; stream large data.',
  },
  CANCELLED: { status: 499, title: 'The caller went away', hint: 'Nothing to do.' },
  // --- capabilities
  PERMISSION_DENIED: {
    status: 403,
    title: 'The plugin lacks a permission',
    hint: 'Declare it in the manifest and have it granted.',
  },
  UNKNOWN_CAPABILITY: {
    status: 404,
    title: 'No such host capability',
    hint: 'See the capability list in plugin-sdk/README.md.',
  },
  SERVICE_UNAVAILABLE: { status: 503, title: 'No provider of this service', hint: 'Enable a plugin that provides it.' },
  SERVICE_METHOD_UNKNOWN: { status: 404, title: 'The service has no such method', hint: 'Check the service contract.' },
  NET_DENIED: {
    status: 403,
    title: 'Address not allowed',
    hint: 'Add the origin to `permissions.net` and have it granted.',
  },
  NET_ADDRESS_BLOCKED: {
    status: 403,
    title: 'Address is in a blocked range',
    hint: 'Grant the private address itself by name to reach it.',
  },
  NET_FAILED: {
    status: 502,
    title: 'The remote server could not be reached',
    hint: 'Check that it runs and its address is right.',
  },
  NET_TIMEOUT: { status: 504, title: 'The remote server took too long', hint: 'Try again later.' },
  NET_TOO_LARGE: {
    status: 502,
    title: 'The remote answer is too large',
    hint: 'Stream it, or raise `net.maxResponseBytes`.',
  },
  SECRET_DENIED: {
    status: 403,
    title: 'Secret not available',
    hint: 'Declare it in `permissions.secrets`, have it granted, and bind it to this host: `atoll secrets --help`.',
  },
  // --- upstreams, as plugins report them
  UPSTREAM_ERROR: { status: 502, title: 'The upstream server failed', hint: 'See `detail` for what it said.' },
  UPSTREAM_UNREACHABLE: {
    status: 502,
    title: 'The upstream server cannot be reached',
    hint: 'Check that it runs and how it is configured.',
  },
  UPSTREAM_BUSY: { status: 503, title: 'The upstream server is busy', hint: 'Try again later.' },
  UPSTREAM_BAD_ANSWER: {
    status: 502,
    title: 'The upstream server answered nonsense',
    hint: 'Check that the configured URL is the right kind of server.',
  },
  MODEL_NOT_FOUND: { status: 404, title: 'Unknown model', hint: 'GET /v1/models lists the models.' },
  UNSUPPORTED: {
    status: 400,
    title: 'Not supported by this provider',
    hint: 'Leave the named option out, or use another provider.',
  },
  CONTEXT_TOO_LONG: {
    status: 400,
    title: 'The input is longer than the context window',
    hint: 'Send less, or raise the context size.',
  },
  // --- storage
  STORAGE_QUOTA: {
    status: 413,
    title: "The plugin's storage is full",
    hint: 'Delete something, or raise `storage.maxRows` or `storage.maxBytes`.',
  },
  CACHE_VALUE_TOO_LARGE: {
    status: 413,
    title: 'The value is too large to be cached',
    hint: 'Cache less, or raise `cache.maxValueBytes`.',
  },
  STORAGE_UNSUPPORTED: {
    status: 501,
    title: 'The database cannot do this',
    hint: 'Install pgvector 0.8 or newer on the PostgreSQL server, or use the embedded database.',
  },
  IMPORT_INVALID: {
    status: 422,
    title: 'Not an export of a plugin',
    hint: 'Use a file that `atoll data export` has written. What came before the line stays imported; importing again is harmless.',
  },
  // --- the database
  DATABASE_UNAVAILABLE: {
    status: 503,
    title: 'The database cannot be reached',
    hint: 'Try again in a moment; see GET /health/ready.',
  },
  DATABASE_FULL: {
    status: 507,
    title: 'The database takes no writes',
    hint: 'Free space on its disk (embedded: that of `dataDir`), or name a server that is no standby. Reading goes on meanwhile.',
  },
  DATABASE_TIMEOUT: {
    status: 504,
    title: 'The database took too long',
    hint: 'Ask for less, or raise `database.statementTimeoutMs` or `database.transactionTimeoutMs`.',
  },
  DATABASE_LOCKED: {
    status: 409,
    title: 'The data directory is in use',
    hint: 'Stop the other process, or set ATOLL_DATA_DIR.',
  },
  DATABASE_CORRUPT: {
    status: 500,
    title: 'The database does not open',
    hint: 'Move the folder away and restore a backup with `atoll db restore`.',
  },
  DATABASE_NEWER: {
    status: 500,
    title: 'The database is of a newer version',
    hint: 'Run the newer Atoll, or roll its migrations back with it first.',
  },
  BACKUP_INVALID: {
    status: 422,
    title: 'Not a usable backup',
    hint: 'Nothing was changed. Use a file that `atoll db backup` has written, with the same or a newer Atoll.',
  },
  MIGRATION_FAILED: {
    status: 500,
    title: 'A migration failed',
    hint: 'Nothing was changed. Correct what the message names, then start again.',
  },
  MASTER_KEY_WRONG: {
    status: 500,
    title: 'The master key does not fit',
    hint: 'Set ATOLL_MASTER_KEY (or ATOLL_MASTER_KEY_PREVIOUS) to the key that the data was made with, or put its file back: <data dir>/master.key.',
  },
  // --- the kernel
  INTERNAL: { status: 500, title: 'Internal error', hint: 'Report it with the request id.' },
  OVERLOADED: { status: 503, title: 'No capacity', hint: 'Try again later.' },
  STARTING: {
    status: 503,
    title: 'The server is still starting',
    hint: 'Try again in a moment; GET /health/ready tells when.',
  },
  SHUTTING_DOWN: { status: 503, title: 'The server is shutting down', hint: 'Try again in a moment.' },
  DEADLINE_EXCEEDED: { status: 504, title: 'Out of time', hint: 'Try again, or ask for less.' },
  PROTOCOL_ERROR: { status: 502, title: 'Malformed frame from the sandbox', hint: 'Report it; the cell is restarted.' },
  EVENT_INVALID: { status: 422, title: 'Event does not match its topic', hint: 'Check the topic schema.' },
  ADDRESS_IN_USE: {
    status: 500,
    title: 'The address is already in use',
    hint: 'Stop the other process or set ATOLL_PORT.',
  },
} as const satisfies Record<string, { status: number; title: string; hint: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** Extra members of an error; `errors` lists failures by JSON pointer, `retryAfter` is in seconds. */
export interface ErrorExtras {
  errors?: { pointer: string; message: string }[];
  retryAfter?: number;
  [member: string]: unknown;
}

/** An error with a catalogue code. `detail` says what happened in this case, in words meant for the caller. */
export class AtollError extends Error {
  override readonly name: string = 'AtollError';
  readonly code: ErrorCode;
  readonly extras: ErrorExtras;

  constructor(code: ErrorCode, detail?: string, extras: ErrorExtras = {}, options?: { cause?: unknown }) {
    super(detail ?? ERRORS[code].title, options);
    this.code = code;
    this.extras = extras;
  }

  /** HTTP status; `extras.status` overrides the catalogue's (an upstream's own status, say). */
  get status(): number {
    return typeof this.extras.status === 'number' ? this.extras.status : ERRORS[this.code].status;
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERRORS, value);
}

/** The form in which an error crosses a process: plain data. */
export interface WireError {
  code: ErrorCode;
  message: string;
  extras?: ErrorExtras;
}

export function toWireError(error: unknown, fallback: ErrorCode = 'INTERNAL'): WireError {
  if (error instanceof AtollError) {
    return {
      code: error.code,
      message: error.message,
      ...(Object.keys(error.extras).length > 0 && { extras: error.extras }),
    };
  }
  return { code: fallback, message: error instanceof Error ? error.message : String(error) };
}

export function fromWireError(wire: WireError): AtollError {
  return new AtollError(isErrorCode(wire.code) ? wire.code : 'PLUGIN_ERROR', wire.message, wire.extras ?? {});
}
