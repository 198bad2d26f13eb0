import semver from 'semver';
import { conflictBetween } from './graph-conflicts.js';
import { findCycles } from './graph-cycles.js';

/** What the graph needs to know of a plugin; manifests fit. */
export interface GraphNode {
  readonly id: string;
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
  /** Service → version. */
  readonly provides: Readonly<Record<string, string>>;
  /** Service → range. */
  readonly consumes: Readonly<Record<string, string>>;
  /** Plugin id → range of versions it can't run beside. */
  readonly conflicts?: Readonly<Record<string, string>>;
  /** Why a plugin that is not to start is none to build on, such as "has failed"; disabled when left out. */
  readonly outOfAction?: string;
}

export interface StartPlan {
  /** Ids in layers: a plugin needs only plugins of earlier layers. */
  order: string[][];
  /** Id → why it can't start, in words that go on after "it". */
  pending: Map<string, string>;
  /** Chains of dependencies that lead back to their start, each ending with its first id again. */
  cycles: string[][];
}

type Nodes = ReadonlyMap<string, GraphNode>;

/**
 * Plans the start of `enabled` plugins. `installed` are all, for reasons that name who could help. Of two that conflict the one that is
 * enabled first in the list runs. Consuming a service does not order the start strictly, because services may be provided in a circle:
 * providers go first where possible.
 */
export function planStart(enabled: readonly GraphNode[], installed: readonly GraphNode[] = enabled): StartPlan {
  const nodes = new Map(enabled.map((node) => [node.id, node]));
  const cycles = findCycles(nodes, (node) => Object.keys(node.dependencies));
  const pending = new Map<string, string>();
  for (const cycle of cycles) {
    const chain = cycle.join(' → ');
    for (const id of cycle) if (!pending.has(id)) pending.set(id, `is part of a circle of dependencies: ${chain}`);
  }
  const planning = { nodes, all: new Map(installed.map((node) => [node.id, node])), pending };
  holdBack(planning, [...nodes.values()]);
  holdApart(planning);
  return { order: layers([...nodes.values()].filter(({ id }) => !pending.has(id))), pending, cycles };
}

interface Planning {
  nodes: Nodes;
  all: Nodes;
  pending: Map<string, string>;
}

/** Marks what lacks something, and then what lacks that, until nothing is left to look at. */
function holdBack(planning: Planning, queue: GraphNode[]): void {
  const { nodes, pending } = planning;
  const users = usersOf(nodes);
  for (const node of queue) {
    const reason = pending.has(node.id) ? undefined : missing(node, planning);
    if (reason === undefined) continue;
    pending.set(node.id, reason);
    queue.push(...users(node));
  }
}

/** Marks the later one of two that can't run beside each other, and what needs it. What is held back already is in nobody's way. */
function holdApart(planning: Planning): void {
  const { nodes, pending } = planning;
  const before: GraphNode[] = [];
  for (const node of nodes.values()) {
    if (pending.has(node.id)) continue;
    const reason = before
      .filter(({ id }) => !pending.has(id))
      .map((other) => conflictBetween(node, other))
      .find((found) => found !== undefined);
    before.push(node);
    if (reason === undefined) continue;
    pending.set(node.id, reason);
    holdBack(planning, usersOf(nodes)(node));
  }
}

/** Who depends on a plugin, or consumes a service that it provides. */
function usersOf(nodes: Nodes): (node: GraphNode) => GraphNode[] {
  const [byPlugin, byService] = [new Map<string, GraphNode[]>(), new Map<string, GraphNode[]>()];
  const add = (index: Map<string, GraphNode[]>, name: string, node: GraphNode) => {
    const users = index.get(name);
    if (users) users.push(node);
    else index.set(name, [node]);
  };
  for (const node of nodes.values()) {
    for (const id of Object.keys(node.dependencies)) add(byPlugin, id, node);
    for (const service of Object.keys(node.consumes)) add(byService, service, node);
  }
  return ({ id, provides }) => [
    ...(byPlugin.get(id) ?? []),
    ...Object.keys(provides).flatMap((service) => byService.get(service) ?? []),
  ];
}

function missing(node: GraphNode, planning: Planning): string | undefined {
  for (const [id, range] of Object.entries(node.dependencies)) {
    const reason = missingPlugin(id, range, planning);
    if (reason !== undefined) return reason;
  }
  for (const [service, range] of Object.entries(node.consumes)) {
    const reason = missingService(service, range, planning);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** Reasons quote the reasons behind them; a long row of those helps nobody. */
const shorten = (reason: string): string => (reason.length > MAX_QUOTED ? `${reason.slice(0, MAX_QUOTED)}…` : reason);
const MAX_QUOTED = 400;

function missingPlugin(id: string, range: string, { nodes, all, pending }: Planning): string | undefined {
  const installed = nodes.get(id) ?? all.get(id);
  if (!installed) return `needs the plugin "${id}" ${range}, which is not installed`;
  if (!semver.satisfies(installed.version, range)) {
    return `needs the plugin "${id}" ${range}, but ${installed.version} is installed`;
  }
  if (!nodes.has(id))
    return `needs the plugin "${id}", which ${installed.outOfAction ?? 'is disabled; enable it first'}`;
  return pending.has(id) ? `needs the plugin "${id}", which is pending: it ${shorten(pending.get(id)!)}` : undefined;
}

const offers = ({ provides }: GraphNode, service: string): boolean => Object.hasOwn(provides, service);
const fits = (node: GraphNode, service: string, range: string): boolean =>
  offers(node, service) && semver.satisfies(node.provides[service]!, range);

function missingService(service: string, range: string, { nodes, all, pending }: Planning): string | undefined {
  const wanted = `needs the service "${service}" ${range}`;
  const enabled = [...nodes.values()].filter((node) => fits(node, service, range));
  if (enabled.some(({ id }) => !pending.has(id))) return undefined;
  const blocked = enabled[0];
  if (blocked) return `${wanted}, whose provider "${blocked.id}" is pending: it ${shorten(pending.get(blocked.id)!)}`;
  const idle = [...all.values()].filter((node) => fits(node, service, range));
  if (idle.length > 0) return `${wanted}; ${idle.map(couldProvide).join(', ')}`;
  const wrong = [...all.values()].filter((node) => offers(node, service));
  const versions = wrong.map(
    ({ id, provides }) => `"${id}" provides ${provides[service]}${nodes.has(id) ? '' : ' (disabled)'}`,
  );
  return `${wanted}, ${versions.length > 0 ? `but ${versions.join(', ')}` : 'which no installed plugin provides'}`;
}

const couldProvide = ({ id, outOfAction }: GraphNode) => `"${id}" could provide it but ${outOfAction ?? 'is disabled'}`;

function layers(nodes: readonly GraphNode[]): string[][] {
  const left = new Map(nodes.map((node) => [node.id, node]));
  const order: string[][] = [];
  while (left.size > 0) {
    const layer = nextLayer([...left.values()]);
    for (const { id } of layer) left.delete(id);
    order.push(layer.map(({ id }) => id).sort());
  }
  return order;
}

/** Services may be provided in a circle, optional dependencies may be mutual: then the stronger needs alone decide. */
function nextLayer(left: readonly GraphNode[]): readonly GraphNode[] {
  const ids = new Set(left.map(({ id }) => id));
  const providers = new Map<string, Set<string>>();
  for (const { id, provides } of left) {
    for (const service of Object.keys(provides)) providers.set(service, (providers.get(service) ?? new Set()).add(id));
  }
  const needs = (names: Readonly<Record<string, string>>, own: string) =>
    Object.keys(names).some((id) => id !== own && ids.has(id));
  const waits = ({ id, consumes }: GraphNode) =>
    Object.keys(consumes).some((service) => [...(providers.get(service) ?? [])].some((provider) => provider !== id));
  const able = left.filter(({ id, dependencies }) => !needs(dependencies, id));
  const first = able.filter(({ id, optionalDependencies }) => !needs(optionalDependencies, id));
  const free = first.filter((node) => !waits(node));
  return [free, first, able].find((layer) => layer.length > 0) ?? left;
}

/** Enabled plugins that would lose something they need, directly or through others, if `id` stopped. Nearest first. */
export function dependantsOf(id: string, enabled: readonly GraphNode[]): string[] {
  // What waits for something anyhow loses nothing, and serves nobody.
  const { pending } = planStart(enabled);
  const running = enabled.filter((node) => !pending.has(node.id));
  const gone = [id];
  for (let at = 0; at < gone.length; at++) {
    for (const node of running) {
      if (gone.includes(node.id)) continue;
      const rest = running.filter((other) => !gone.includes(other.id));
      if (loses(node, gone, rest)) gone.push(node.id);
    }
  }
  return gone.slice(1);
}

function loses(node: GraphNode, gone: readonly string[], rest: readonly GraphNode[]): boolean {
  if (Object.keys(node.dependencies).some((id) => gone.includes(id))) return true;
  return Object.entries(node.consumes).some(([service, range]) => !rest.some((other) => fits(other, service, range)));
}
