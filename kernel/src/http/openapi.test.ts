import { Type } from 'typebox';
import { beforeAll, describe, expect, it } from 'vitest';
import { json, route } from '../../../test/support/http-server.js';
import { OpenApi } from './openapi.js';
import { RouteTable } from './route-table.js';

interface Operation {
  operationId: string;
  parameters: { name: string; in: string; required: boolean; schema: unknown }[];
  security?: unknown[];
  responses: Record<string, unknown>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
}

const table = new RouteTable();
const openApi = new OpenApi(
  [
    { method: 'GET', path: '/open', permission: 'public', tag: 't', summary: 's', handle: () => ({}) },
    {
      method: 'PUT',
      path: '/kernel/:id/config',
      tag: 't',
      summary: 's',
      permission: 'plugins.manage',
      body: Type.Object({}),
      handle: () => ({}),
    },
  ],
  table,
  '1.2.3',
);
const Tree = {
  $defs: { Tree: { type: 'object', properties: { children: { type: 'array', items: { $ref: '#/$defs/Tree' } } } } },
  $ref: '#/$defs/Tree',
};
let document: Document;

beforeAll(() => {
  const schemas = {
    params: Type.Object({ id: Type.Integer() }),
    query: Type.Object({ q: Type.String(), n: Type.Optional(Type.Integer()) }),
  };
  table.replace('fake', [
    route({ method: 'GET', path: '/x/:id/files/*path', schemas: schemas as never }, () => json(1)),
    route({ method: 'GET', path: '/x/:id/rest/*' }, () => json(1)),
    route({ method: 'POST', path: '/x/tree', schemas: { body: Tree } }, () => json(1)),
    route({ method: 'PUT', path: '/x/tree', schemas: { body: Tree, response: Tree } }, () => json(1)),
  ]);
  document = JSON.parse(openApi.document()) as Document;
});

const operations = () =>
  Object.entries(document.paths).flatMap(([path, item]) =>
    Object.values(item).map((operation) => ({ path, operation })),
  );

it('is an OpenAPI 3.1 document with info and paths', () => {
  expect(document).toMatchObject({
    openapi: expect.stringMatching(/^3\.1\./),
    info: { title: 'Atoll', version: '1.2.3' },
  });
  expect(Object.keys(document.paths)).toEqual([
    '/open',
    '/kernel/{id}/config',
    '/x/{id}/files/{path}',
    '/x/{id}/rest/{rest}',
    '/x/tree',
  ]);
});

it('declares every parameter of a path, exactly once', () => {
  for (const { path, operation } of operations()) {
    const declared = operation.parameters.filter((parameter) => parameter.in === 'path');
    const inPath = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
    expect(declared.map(({ name }) => name)).toEqual(inPath);
    for (const { required, schema } of declared) expect([required, typeof schema]).toEqual([true, 'object']);
  }
});

it('knows queries, and which of them are needed', () => {
  const { parameters } = document.paths['/x/{id}/files/{path}']!.get!;
  expect(parameters.filter((parameter) => parameter.in === 'query')).toMatchObject([
    { name: 'q', required: true },
    { name: 'n', required: false },
  ]);
  expect(parameters.find(({ name }) => name === 'id')?.schema).toMatchObject({ type: 'integer' });
});

it('has unique operation ids, and a problem as the answer to what goes wrong', () => {
  const ids = operations().map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { operation } of operations()) expect(operation.responses).toHaveProperty('default');
});

it('says what is open to everyone', () => {
  expect(document.paths['/open']!.get!.security).toEqual([]);
  expect(document.paths['/kernel/{id}/config']!.put!.security).toBeUndefined();
});

describe('references', () => {
  /** A JSON pointer resolves against the nearest `$id` around it. */
  function check(value: unknown, base: unknown, found: string[]): void {
    if (typeof value !== 'object' || value === null) return;
    const { $id, $ref } = value as { $id?: unknown; $ref?: unknown };
    const here = typeof $id === 'string' ? value : base;
    if (typeof $ref === 'string') {
      found.push($ref);
      const target = $ref
        .slice(2)
        .split('/')
        .reduce((at: unknown, key) => (at as Record<string, unknown> | undefined)?.[key], here);
      expect(target, $ref).toBeDefined();
    }
    for (const item of Object.values(value)) check(item, here, found);
  }

  it('all resolve, also those inside of a plugin’s schema', () => {
    const found: string[] = [];
    check(JSON.parse(JSON.stringify(document)), document, found);
    expect(found).toContain('#/$defs/Tree');
    expect(found).toContain('#/components/responses/Problem');
  });

  it('have anchors that are unique', () => {
    const ids = [...JSON.stringify(document).matchAll(/"\$id":"([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

it('is made anew when plugins come and go, and only then', () => {
  expect(openApi.document()).toBe(openApi.document());
  table.replace('late', [route({ method: 'GET', path: '/late' }, () => json(1))]);
  expect((JSON.parse(openApi.document()) as Document).paths).toHaveProperty('/late');
  table.remove('late');
  expect((JSON.parse(openApi.document()) as Document).paths).not.toHaveProperty('/late');
});

describe('what plugins register', () => {
  const Node = { type: 'object', properties: { next: { $ref: '#/$defs/Node' } } };
  const build = (...registrations: object[]): Document => {
    const own = new RouteTable();
    own.replace(
      'p',
      registrations.map((registration) => route(registration as never, () => json(1))),
    );
    return JSON.parse(new OpenApi([], own, '1').document()) as Document;
  };
  const get = (path: string, schemas = {}) => ({ method: 'GET', path, schemas });

  it('is one path where only the names of parameters differ', () => {
    const { paths } = build(get('/a/:x/:y', { params: { properties: { y: { type: 'integer' } } } }), {
      ...get('/a/:one/:two', { params: { properties: { two: { type: 'boolean' } } } }),
      method: 'DELETE',
    });
    expect(Object.keys(paths)).toEqual(['/a/{x}/{y}']);
    const types = (method: string) =>
      paths['/a/{x}/{y}']![method]!.parameters.map(({ name, schema }) => [name, (schema as { type: string }).type]);
    expect(types('get')).toEqual([
      ['x', 'string'],
      ['y', 'integer'],
    ]);
    expect(types('delete')).toEqual([
      ['x', 'string'],
      ['y', 'boolean'],
    ]);
  });

  it('has operation ids that differ where paths look alike', () => {
    const { paths } = build(get('/a-b'), get('/a.b'), get('/a_b'));
    const ids = Object.values(paths).map(({ get }) => get!.operationId);
    expect(new Set(ids).size).toBe(3);
  });

  it('shows the members that references and intersections add, also of headers', () => {
    const query = {
      allOf: [{ $ref: '#/$defs/Page' }, { properties: { tree: { $ref: '#/$defs/Node' } } }],
      $defs: { Page: { properties: { n: { type: 'integer' } }, required: ['n'] }, Node },
    };
    const headers = { properties: { 'x-a': { type: 'string' }, authorization: { type: 'string' } } };
    const { parameters } = build(get('/a', { query, headers })).paths['/a']!.get!;
    expect(parameters.map(({ name, in: place, required }) => [name, place, required])).toEqual([
      ['n', 'query', true],
      ['tree', 'query', false],
      ['x-a', 'header', false],
    ]);
    expect(parameters[1]?.schema).toMatchObject({ $ref: '#/$defs/Node', $defs: { Node }, $id: expect.any(String) });
  });

  it('is free of keywords that nobody knows, in answers too', () => {
    const response = { type: 'string', 'x-html': '<script>', $id: 'https://evil.example', pattern: '^a$' };
    const document = build(get('/a', { response }));
    expect(JSON.stringify(document)).not.toContain('evil');
    expect(document.paths['/a']!.get!.responses['200']).toMatchObject({
      content: { 'application/json': { schema: { type: 'string', pattern: '^a$' } } },
    });
  });
});
