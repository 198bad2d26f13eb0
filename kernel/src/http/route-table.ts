import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Caller } from '../plugins/canary/split.js';
import type { PluginRoute } from '../plugins/types.js';
import { checkRegistration } from './registration.js';
import { compileGuestSchema, type Validator } from '../schema/index.js';

/** A plugin route with its schemas compiled. */
export interface CompiledRoute extends PluginRoute {
  params?: Validator;
  query?: Validator;
  headers?: Validator;
  body?: Validator;
  /** For the OpenAPI document only: plugins answer for their answers. */
  response?: Validator;
  /** `<plugin id>/<name>` */
  permission?: `${string}/${string}`;
}

export interface RouteMatch {
  route: CompiledRoute;
  params: Record<string, string>;
}

/** A path that exists, though not with this method. */
export interface WrongMethod {
  allowed: string[];
}

interface Node {
  literals: Map<string, Node>;
  parameter?: Node;
  /** Routes that end here, and those that take the rest of the path. */
  routes: Map<string, CompiledRoute>;
  rest: Map<string, CompiledRoute>;
}

/** Routes of one plugin. */
const MAX_ROUTES = 1_000;

const newNode = (): Node => ({ literals: new Map(), routes: new Map(), rest: new Map() });

/** The routes of a version that takes some of its plugin's calls. */
export interface CanaryRoutes {
  routes: RouteTable;
  takes(caller: Caller): boolean;
  /** Whether it still takes calls at all. */
  live(): boolean;
}

/** All routes of active plugins. A plugin's routes are exchanged as a whole. */
export class RouteTable {
  readonly #byPlugin = new Map<string, CompiledRoute[]>();
  #root = newNode();
  /** Plugin id → its canary; most have none. */
  readonly canaries = new Map<string, CanaryRoutes>();
  /** Changes with every change of the table. */
  generation = 0;

  /** Throws PLUGIN_CLASH or MANIFEST_INVALID and leaves the table as it was. */
  replace(plugin: string, routes: readonly PluginRoute[]): void {
    this.prepare(plugin, routes)();
  }

  /** A table of these routes alone, which could be in the place of the plugin's own. Throws what `replace` throws. */
  separate(plugin: string, routes: readonly PluginRoute[]): RouteTable {
    this.prepare(plugin, routes);
    const table = new RouteTable();
    table.replace(plugin, routes);
    return table;
  }

  /**
   * Checks the routes as `replace` does, and returns what puts them in place at once. That can't fail as long as no other plugin's
   * routes change in between.
   */
  prepare(plugin: string, routes: readonly PluginRoute[]): () => void {
    if (routes.length > MAX_ROUTES)
      throw new AtollError('MANIFEST_INVALID', `"${plugin}" has more than ${MAX_ROUTES} routes.`);
    const compiled = routes.map(compileRoute);
    buildTree(new Map([...this.#byPlugin, [plugin, compiled]]));
    return () => {
      this.#byPlugin.set(plugin, compiled);
      this.#rebuild();
    };
  }

  remove(plugin: string): void {
    if (!this.#byPlugin.delete(plugin)) return;
    this.#rebuild();
  }

  routes(): CompiledRoute[] {
    return [...this.#byPlugin.values()].flat();
  }

  /** Literal segments win over parameters, and those over a rest. Throws BAD_REQUEST on broken percent-encoding. */
  match(method: string, path: string): RouteMatch | WrongMethod | undefined {
    const segments = path.split('/').slice(1);
    const wanted = method === 'HEAD' ? 'GET' : method;
    const allowed = new Set<string>();
    const found = find(this.#root, segments, 0, wanted, allowed);
    if (found) return { route: found.route, params: paramsOf(found.route, segments) };
    return allowed.size > 0 ? { allowed: [...allowed, ...(allowed.has('GET') ? ['HEAD'] : [])] } : undefined;
  }

  #rebuild(): void {
    this.#root = buildTree(this.#byPlugin);
    this.generation++;
  }
}

function buildTree(byPlugin: ReadonlyMap<string, readonly CompiledRoute[]>): Node {
  const root = newNode();
  for (const routes of byPlugin.values()) for (const route of routes) insert(root, route);
  return root;
}

function compileRoute(route: PluginRoute): CompiledRoute {
  checkRegistration(route.registration, route.path);
  const { params, query, headers, body, response } = route.registration.schemas ?? {};
  const texts = { coerce: true, defaults: true };
  const compiled: CompiledRoute = { ...route };
  if (params !== undefined) compiled.params = compileGuestSchema(params, texts);
  if (query !== undefined) compiled.query = compileGuestSchema(query, texts);
  if (headers !== undefined) compiled.headers = compileGuestSchema(headers);
  if (body !== undefined) compiled.body = compileGuestSchema(body, { defaults: true });
  if (response !== undefined) compiled.response = compileGuestSchema(response);
  const { permission } = route.registration;
  if (permission !== undefined) compiled.permission = `${route.plugin}/${permission}`;
  return compiled;
}

function insert(root: Node, route: CompiledRoute): void {
  let node = root;
  const segments = route.path.split('/').slice(1);
  for (const segment of segments) {
    if (segment.startsWith('*')) return claim(node.rest, route);
    if (segment.startsWith(':')) node = node.parameter ??= newNode();
    else {
      let next = node.literals.get(segment);
      if (!next) {
        next = newNode();
        node.literals.set(segment, next);
      }
      node = next;
    }
  }
  claim(node.routes, route);
}

function claim(routes: Map<string, CompiledRoute>, route: CompiledRoute): void {
  const { method } = route.registration;
  const taken = routes.get(method);
  if (taken)
    throw new AtollError(
      'PLUGIN_CLASH',
      `${method} ${route.path} of "${route.plugin}" is taken by ${taken.path} of "${taken.plugin}".`,
    );
  routes.set(method, route);
}

function find(
  node: Node,
  segments: string[],
  at: number,
  method: string,
  allowed: Set<string>,
): { route: CompiledRoute } | undefined {
  if (at === segments.length) {
    const route = node.routes.get(method);
    if (route) return { route };
    for (const other of node.routes.keys()) allowed.add(other);
    return undefined;
  }
  const segment = segments[at]!;
  const literal = node.literals.get(segment);
  const found =
    (literal && find(literal, segments, at + 1, method, allowed)) ??
    (node.parameter && segment !== '' ? find(node.parameter, segments, at + 1, method, allowed) : undefined);
  if (found) return found;
  const rest = node.rest.get(method);
  if (rest) return { route: rest };
  for (const other of node.rest.keys()) allowed.add(other);
  return undefined;
}

function paramsOf(route: CompiledRoute, segments: string[]): Record<string, string> {
  const params: Record<string, string> = {};
  for (const [at, part] of route.path.split('/').slice(1).entries()) {
    if (part.startsWith(':')) params[part.slice(1)] = decode(segments[at]!);
    else if (part.startsWith('*')) params[part.slice(1) || 'rest'] = segments.slice(at).map(decode).join('/');
  }
  return params;
}

function decode(segment: string): string {
  try {
    return segment.includes('%') ? decodeURIComponent(segment) : segment;
  } catch {
    throw new AtollError('BAD_REQUEST', 'The path has broken percent-encoding.');
  }
}
