import { AtollError } from '@atoll/plugin-sdk/contract';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { manifestJsonSchema, parseManifest } from './manifest.js';

const pack = (atoll: unknown, rest: object = {}) => ({ name: '@acme/greeter', version: '1.2.0', ...rest, atoll });

/** Path → message, without the place and the full stop. */
function problemsOf(packageJson: unknown): Record<string, string> {
  try {
    parseManifest(packageJson, 'package.json');
  } catch (error) {
    if (!(error instanceof AtollError)) throw error;
    expect(error.code).toBe('MANIFEST_INVALID');
    const entries = error.extras.errors!.map(({ pointer, message }) => [
      pointer.slice(1).replaceAll('/', '.'),
      message,
    ]);
    return Object.fromEntries(entries) as Record<string, string>;
  }
  return {};
}

describe('a manifest that is fine', () => {
  it('gets all defaults', () => {
    expect(parseManifest(pack({ id: 'greeter' }), 'x')).toEqual({
      name: '@acme/greeter',
      version: '1.2.0',
      id: 'greeter',
      title: 'greeter',
      category: 'other',
      engine: '*',
      entry: 'src/index.ts',
      mounts: [],
      dependencies: {},
      optionalDependencies: {},
      conflicts: {},
      provides: {},
      consumes: {},
      permissions: {
        net: [], storage: false, gpu: false, jobs: false, schedule: false, cache: false, secrets: [],
        events: { publish: [], subscribe: [] },
      },
      access: {},
      limits: { memoryMb: 64, timeoutMs: 5000, concurrency: 16 },
    }); // biome-ignore format: as in the manifest
  });

  it('keeps what it says', () => {
    const field = {
      id: 'greeter',
      title: 'Greeter',
      engine: '^1.0.0',
      mounts: ['/api/v1/greeter', '/v1'],
      dependencies: { 'llm-router': '^1.0.0' },
      provides: { greetings: '1.0.0' },
      consumes: { llm: '>=1 <3' },
      permissions: {
        net: [
          'https://api.example.com',
          'http://127.0.0.1:11434',
          'https://*.example.com',
          'http://[::1]:80',
          'config:host',
          '*',
        ],
        secrets: ['EXAMPLE_KEY'],
        events: { publish: ['greeter.*'], subscribe: ['user.created', 'plugin.**', '**'] },
      },
      config: { type: 'object', properties: { host: { type: 'string' } } },
      errors: { body: { error: '{detail}' }, types: { 429: 'slow', '5xx': 'server' } },
    };
    expect(parseManifest(pack(field), 'x')).toMatchObject(field);
  });

  it('is frozen and independent of its source', () => {
    const source = pack({ id: 'a', permissions: { net: ['*'] } });
    const manifest = parseManifest(source, 'x');
    expect(Object.isFrozen(manifest.permissions.events.publish)).toBe(true);
    expect(Object.isFrozen((source.atoll as { permissions: object }).permissions)).toBe(false);
  });
});

describe('what is wrong is named with its path', () => {
  it.each<[string, object, string, string]>([
    [
      'a text for a number',
      { limits: { memoryMb: 'lots' } },
      'limits.memoryMb',
      'expected an integer of at least 8, got "lots"',
    ],
    [
      'a number too small',
      { limits: { timeoutMs: 5 } },
      'limits.timeoutMs',
      'expected an integer of at least 10, got 5',
    ],
    [
      'a number too large',
      { limits: { concurrency: 5000 } },
      'limits.concurrency',
      'expected an integer of at most 1024, got 5000',
    ],
    ['a fraction', { limits: { memoryMb: 8.5 } }, 'limits.memoryMb', 'expected an integer of at least 8, got 8.5'],
    ['null', { limits: null }, 'limits', 'expected an object, got null'],
    ['a key with a typo', { permision: {} }, 'permision', 'is not a known key; did you mean "permissions"?'],
    [
      'a nested key with a typo',
      { limits: { memoryMB: 1 } },
      'limits.memoryMB',
      'is not a known key; did you mean "memoryMb"?',
    ],
    [
      'an unknown key',
      { limits: { cores: 1 } },
      'limits.cores',
      'is not a known key; known are memoryMb, timeoutMs, concurrency',
    ],
    ['an id with capitals', { id: 'Greeter' }, 'id', 'expected text that matches ^[a-z][a-z0-9-]*$, got "Greeter"'],
    [
      'an engine that is no range',
      { engine: 'newest' },
      'engine',
      'expected a semver range such as ^1.0.0, got "newest"',
    ],
    [
      'a dependency without a range',
      { dependencies: { a: 'x.y' } },
      'dependencies.a',
      'expected a semver range such as ^1.0.0, got "x.y"',
    ],
    [
      'a dependency on itself',
      { dependencies: { greeter: '*' } },
      'dependencies.greeter',
      'a plugin cannot depend on itself',
    ],
    [
      'a range for a version',
      { provides: { llm: '^1.0.0' } },
      'provides.llm',
      'expected a semantic version such as 1.0.0, got "^1.0.0"',
    ],
    [
      'an entry outside',
      { entry: '../other/index.ts' },
      'entry',
      'expected a path inside the package, such as src/index.ts, got "../other/index.ts"',
    ],
    [
      'an absolute entry',
      { entry: '/etc/passwd' },
      'entry',
      'expected a path inside the package, such as src/index.ts, got "/etc/passwd"',
    ],
    [
      'a config that is no object',
      { config: { type: 'string' } },
      'config',
      'expected a JSON Schema with "type": "object", got "string" as its type',
    ],
    [
      'an error type of no status',
      { errors: { body: {}, types: { oops: 'x' } } },
      'errors.types.oops',
      'expected a status such as 429, or a class such as 4xx',
    ],
    ['errors without a body', { errors: {} }, 'errors.body', 'expected a value, got nothing'],
    [
      'a permission with capitals',
      { access: { UPPER: { title: 'x' } } },
      'access.UPPER',
      'expected a key that matches ^[a-z][a-z0-9.-]{0,63}$, got "UPPER"',
    ],
    ['a permission that is no object', { access: { write: 5 } }, 'access.write', 'expected an object, got 5'],
    [
      'a role that does not exist',
      { access: { write: { title: 'x', roles: ['admin'] } } },
      'access.write.roles.0',
      'expected one of "operator", "developer", "user", "viewer", got "admin"',
    ],
    [
      'a permission that does not exist',
      { permissions: { NET: ['*'] } },
      'permissions.NET',
      'is not a known key; did you mean "net"?',
    ],
    [
      'a kind of event that does not exist',
      { permissions: { events: { Listen: [] } } },
      'permissions.events.Listen',
      'is not a known key; known are publish, subscribe',
    ],
    [
      'a service with a blank',
      { provides: { 'L L M': '1.0.0' } },
      'provides.L L M',
      'expected a service name: letters, digits, dots and dashes',
    ],
    [
      'a service over two lines, of no version',
      { consumes: { 'a\nb': 5 } },
      'consumes.a\nb',
      'expected a service name: letters, digits, dots and dashes',
    ],
    [
      'a dependency with capitals',
      { dependencies: { Auth: '*' } },
      'dependencies.Auth',
      'expected a plugin id: lower case letters, digits and dashes',
    ],
    [
      'an optional dependency that is no text',
      { optionalDependencies: { auth: 1 } },
      'optionalDependencies.auth',
      'expected text, got 1',
    ],
    [
      'a conflict with capitals',
      { conflicts: { Auth: '*' } },
      'conflicts.Auth',
      'expected a plugin id: lower case letters, digits and dashes',
    ],
    [
      'a limit with a name that all objects have',
      { limits: { constructor: 1 } },
      'limits.constructor',
      'is not a known key; known are memoryMb, timeoutMs, concurrency',
    ],
    [
      'a config without a type',
      { config: { Properties: {} } },
      'config',
      'expected a JSON Schema with "type": "object", got nothing as its type',
    ],
    [
      'an error type that is no text',
      { errors: { body: 1, types: { 429: 5 } } },
      'errors.types.429',
      'expected text, got 5',
    ],
  ])('%s', (_, field, path, message) => {
    expect(problemsOf(pack({ id: 'greeter', ...field }))).toEqual({ [`atoll.${path}`]: message });
  });

  it.each([
    '/health',
    '/health/x',
    '/HEALTH',
    '/metrics',
    '/openapi.json',
    '/ws',
    '/api',
    '/api/v1',
    '/api/v1/plugins',
    '/api/v1/plugins/x',
    '/api/v1/jobs',
  ])('the mount %s, which is the kernel’s', (mount) => {
    expect(problemsOf(pack({ id: 'a', mounts: [mount] }))['atoll.mounts.0']).toMatch(
      /clashes with the kernel's own \//,
    );
  });

  it.each(['api', '/', '/a/', '//a', '/a/../b', '/a/./b', '/a b', '/a?x', '/:id', '/a%2f'])(
    'the mount %s, which is no plain path',
    (mount) => {
      expect(problemsOf(pack({ id: 'a', mounts: [mount] }))['atoll.mounts.0']).toMatch(/^expected a path such as/);
    },
  );

  it.each(['/healthy', '/api/v1/plugins-extra', '/v1', '/wsx'])('but not the mount %s', (mount) => {
    expect(problemsOf(pack({ id: 'a', mounts: [mount] }))).toEqual({});
  });

  it.each([
    'ftp://x',
    'https://x/path',
    'https://',
    'x.com',
    'https://*',
    'https://x:99999',
    'https://a*b.com',
    'https://1.2.3.999',
  ])('the net entry %s', (entry) => {
    expect(problemsOf(pack({ id: 'a', permissions: { net: [entry] } }))['atoll.permissions.net.0']).toMatch(
      /^expected an origin/,
    );
  });

  it.each(['https://joe:password@x.com', 'https://joe:pass/word@x.com', 'https://joe:pass@word@x.com'])(
    'the net entry %s, without its name and password',
    (entry) => {
      expect(problemsOf(pack({ id: 'a', permissions: { net: [entry] } }))).toEqual({
        'atoll.permissions.net.0':
          'expected an origin such as https://api.example.com, config:<key> or *, got "https://…@x.com"',
      });
    },
  );

  it('a configured address whose key does not exist', () => {
    const config = { type: 'object', properties: { host: { type: 'string' } } };
    expect(problemsOf(pack({ id: 'a', config, permissions: { net: ['config:hots'] } }))).toEqual({
      'atoll.permissions.net.0':
        'names the configuration key "hots", which `config` does not have; did you mean "host"?',
    });
  });

  it.each(['', 'a..b', '.a', 'a.**.b', 'a.b*', 'a b'])('the topic "%s"', (topic) => {
    expect(problemsOf(pack({ id: 'a', permissions: { events: { publish: [topic] } } }))).toHaveProperty([
      'atoll.permissions.events.publish.0',
    ]);
  });

  it('several at once, in one message', () => {
    const broken = pack({ id: 'A', limits: { memoryMb: 1 } }, { name: 'No Name', version: '1' });
    expect(() => parseManifest(broken, '/plugins/a/package.json')).toThrow(
      '/plugins/a/package.json: name: expected a package name in lower case, got "No Name"; ' +
        'version: expected a semantic version such as 1.0.0, got "1"; ' +
        'atoll.id: expected text that matches ^[a-z][a-z0-9-]*$, got "A"; ' +
        'atoll.limits.memoryMb: expected an integer of at least 8, got 1.',
    );
  });
});

describe('hostile manifests', () => {
  it('cannot change prototypes', () => {
    const packageJson: unknown = JSON.parse(
      '{"name":"a","version":"1.0.0","atoll":{"id":"a","provides":{"__proto__":"1.0.0"}}}',
    );
    expect(problemsOf(packageJson)).toEqual({ 'atoll.provides.__proto__': 'is not allowed as a key' });
  });

  it('cannot overflow the stack', () => {
    const deep: unknown = JSON.parse(`${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`);
    expect(Object.values(problemsOf(pack({ id: 'a', config: deep })))).toEqual(['is nested more than 64 levels deep']);
  });

  it('never make it throw anything but MANIFEST_INVALID, whatever their maps hold', () => {
    const maps = [
      'dependencies',
      'conflicts',
      'provides',
      'consumes',
      'access',
      'limits',
      'permissions',
      'config',
      'errors',
    ];
    fc.assert(
      fc.property(fc.constantFrom(...maps), fc.dictionary(fc.string(), fc.jsonValue()), (map, value) => {
        problemsOf(pack({ id: 'a', [map]: value }));
        problemsOf(pack({ id: 'a', errors: { body: 1, types: value }, permissions: { events: value } }));
      }),
    );
  });

  it('never make it throw anything but MANIFEST_INVALID', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (value, limits) => {
        problemsOf(value);
        problemsOf(pack(value));
        problemsOf(pack({ id: 'a', limits, mounts: value, permissions: limits }));
      }),
    );
  });
});

it('is exported as JSON Schema', () => {
  expect(manifestJsonSchema).toMatchObject({
    type: 'object',
    additionalProperties: false,
    properties: { access: { propertyNames: { pattern: '^[a-z][a-z0-9.-]{0,63}$' } } },
    required: expect.arrayContaining(['id']) as unknown,
  });
});
