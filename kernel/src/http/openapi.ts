import type { JsonSchema } from '@atoll/plugin-sdk/contract';
import type { KernelRoute } from './kernel-route.js';
import type { ErrorTemplate } from '../plugins/types.js';
import type { CompiledRoute, RouteTable } from './route-table.js';

interface Operation {
  method: string;
  path: string;
  operation: Record<string, unknown>;
}

const PROBLEM = { $ref: '#/components/responses/Problem' };

/** The OpenAPI 3.1 document of the kernel's and all active plugins' routes; made anew when the route table has changed. */
export class OpenApi {
  #cached: { generation: number; json: string } | undefined;

  constructor(
    private readonly kernel: readonly KernelRoute[],
    private readonly routes: RouteTable,
    private readonly version: string,
  ) {}

  /** As JSON: it may be asked for often, and be large. */
  document(): string {
    const { generation } = this.routes;
    if (this.#cached?.generation !== generation) this.#cached = { generation, json: JSON.stringify(this.#build()) };
    return this.#cached.json;
  }

  #build(): object {
    const names = new Names();
    const paths: Record<string, Record<string, unknown>> = {};
    for (const { path, method, operation } of [
      ...this.kernel.map((route) => kernelOperation(route, names)),
      ...this.routes.routes().map((route) => pluginOperation(route, names)),
    ]) {
      paths[path] = { ...paths[path], [method]: operation };
    }
    return {
      openapi: '3.1.0',
      info: {
        title: 'Atoll',
        version: this.version,
        description: 'The kernel and the plugins that are active now.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      security: [{ bearer: [] }],
      paths,
      components: {
        securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
        schemas: { Problem: problemSchema },
        responses: { Problem: problemResponse },
      },
    };
  }
}

interface Template {
  path: string;
  /** Name in the document and in the route. */
  parameters: { name: string; own: string }[];
}

/** What has to be unique in a document. */
class Names {
  readonly #paths = new Map<string, Template>();
  readonly #operations = new Set<string>();

  /** `:id` → `{id}`; a rest parameter is one parameter in OpenAPI's eyes. Paths that differ in names only are one path there. */
  template(path: string): Template {
    const own: string[] = [];
    const converted = path.replace(/\/[:*]([A-Za-z0-9_]*)/g, (_, name: string) => {
      own.push(name || 'rest');
      return `/{${name || 'rest'}}`;
    });
    const shape = converted.replace(/\{[^}]*\}/g, '{}');
    const first = this.#paths.get(shape);
    if (first)
      return { path: first.path, parameters: first.parameters.map(({ name }, at) => ({ name, own: own[at]! })) };
    const template = { path: converted, parameters: own.map((name) => ({ name, own: name })) };
    this.#paths.set(shape, template);
    return template;
  }

  operation(wanted: string): string {
    const base = wanted.replace(/[^A-Za-z0-9]+/g, '_');
    let id = base;
    for (let n = 2; this.#operations.has(id); n++) id = `${base}_${n}`;
    this.#operations.add(id);
    return id;
  }
}

/** Headers that OpenAPI describes elsewhere. */
const NOT_PARAMETERS = new Set(['accept', 'content-type', 'authorization']);

interface Schemas {
  params?: JsonSchema;
  query?: JsonSchema;
  headers?: JsonSchema;
}

function parameters(template: Template, { params, query, headers }: Schemas, anchor: string): object[] {
  const ofPath = members(params, `${anchor}:params`);
  const ofQuery = members(query, `${anchor}:query`);
  const ofHeaders = members(headers, `${anchor}:headers`);
  const listed = (place: 'query' | 'header', { properties, required }: Members) =>
    [...properties].map(([name, schema]) => ({ name, in: place, required: required.has(name), schema }));
  return [
    ...template.parameters.map(({ name, own }) => ({
      name,
      in: 'path',
      required: true,
      schema: ofPath.properties.get(own) ?? { type: 'string' },
    })),
    ...listed('query', ofQuery),
    ...listed('header', ofHeaders).filter(({ name }) => !NOT_PARAMETERS.has(name.toLowerCase())),
  ];
}

interface Members {
  properties: Map<string, JsonSchema>;
  required: Set<string>;
}

/** The members of an object's schema, with what references and intersections add; each can stand on its own. */
function members(schema: JsonSchema | undefined, anchor: string): Members {
  const found: Members = { properties: new Map(), required: new Set() };
  const defs = (schema?.$defs ?? {}) as Record<string, JsonSchema>;
  const visit = (part: JsonSchema | undefined): void => {
    if (!part) return;
    for (const [name, property] of Object.entries((part.properties ?? {}) as Record<string, JsonSchema>)) {
      const refers = JSON.stringify(property).includes('"$ref"');
      found.properties.set(
        name,
        refers ? localRefs({ ...property, $defs: defs }, `${anchor}:${encodeURIComponent(name)}`) : property,
      );
    }
    for (const name of (part.required ?? []) as string[]) found.required.add(name);
    if (typeof part.$ref === 'string') visit(defs[part.$ref.slice('#/$defs/'.length)]);
    for (const inner of (part.allOf ?? []) as JsonSchema[]) visit(inner);
  };
  visit(schema);
  return found;
}

function kernelOperation(route: KernelRoute, names: Names): Operation {
  const template = names.template(route.path);
  const { path } = template;
  const operationId = names.operation(`${route.method.toLowerCase()}${path}`);
  const type = route.contentType ?? 'application/json';
  return {
    path,
    method: route.method.toLowerCase(),
    operation: {
      operationId,
      summary: route.summary,
      tags: [route.tag],
      ...(route.permission === 'public' ? { security: [] } : { 'x-atoll-permission': route.permission }),
      parameters: parameters(template, { query: route.query as JsonSchema | undefined }, operationId),
      ...(route.body && { requestBody: { content: { 'application/json': { schema: route.body } } } }),
      responses: {
        '200': { description: 'Done.', content: { [type]: { schema: route.response ?? {} } } },
        default: PROBLEM,
      },
    },
  };
}

function pluginOperation(route: CompiledRoute, names: Names): Operation {
  const template = names.template(route.path);
  const { path } = template;
  const { method, summary, description, tags } = route.registration;
  const body = route.body?.schema;
  const operationId = names.operation(`${route.plugin}_${method.toLowerCase()}${path}`);
  const response = localRefs(route.response?.schema ?? {}, `${operationId}:response`);
  const schemas = { params: route.params?.schema, query: route.query?.schema, headers: route.headers?.schema };
  return {
    path,
    method: method.toLowerCase(),
    operation: {
      operationId,
      summary: summary ?? `${method} ${path}`,
      ...(description && { description }),
      tags: tags ?? [route.plugin],
      parameters: parameters(template, schemas, operationId),
      ...(body && {
        requestBody: {
          required: true,
          content: { 'application/json': { schema: localRefs(body, `${operationId}:body`) } },
        },
      }),
      responses: {
        '200': { description: 'Done.', content: { 'application/json': { schema: response } } },
        default: route.errorTemplate ? ownErrors(route.errorTemplate) : PROBLEM,
      },
      'x-atoll-plugin': route.plugin,
      'x-atoll-permission': route.permission ?? 'plugins.call',
    },
  };
}

/** Errors under the mounts of a plugin that has a form of its own for them. */
function ownErrors({ body }: ErrorTemplate): object {
  return { description: 'What went wrong.', content: { 'application/json': { schema: shapeOf(body) } } };
}

/** What is filled in for a lone placeholder may be a number, as a status is. */
function shapeOf(template: unknown): JsonSchema {
  if (typeof template === 'string') return /^\{[a-z]+\}$/.test(template) ? {} : { type: 'string' };
  if (Array.isArray(template)) return { type: 'array' };
  if (typeof template !== 'object' || template === null) return { const: template };
  const members = Object.entries(template);
  return {
    type: 'object',
    required: members.map(([name]) => name),
    properties: Object.fromEntries(members.map(([name, member]) => [name, shapeOf(member)])),
  };
}

/** Inside the document, a schema's own `#/$defs` needs an anchor of its own to resolve against. */
function localRefs(schema: JsonSchema, name: string): JsonSchema {
  return schema.$defs ? { $id: `urn:atoll:schema:${name}`, ...schema } : schema;
}

const text = { type: 'string' };
const problemSchema = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'code'],
  properties: {
    type: text, title: text, status: { type: 'integer' }, detail: text, code: text, hint: text, instance: text,
    errors: { type: 'array', items: { type: 'object', properties: { pointer: text, message: text } } },
  },
}; // biome-ignore format: a schema
const problemResponse = {
  description: 'What went wrong (RFC 9457).',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
};
