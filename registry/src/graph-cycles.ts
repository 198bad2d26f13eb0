type NeedsOf<N> = (node: N) => readonly string[];

/**
 * Circles in a graph, short ones, until every node that is part of one is named: all would be countless. A circle starts
 * at its alphabetically first id and ends with that id again. Ids that are not in the graph are ignored.
 */
export function findCycles<N>(nodes: ReadonlyMap<string, N>, needsOf: NeedsOf<N>): string[][] {
  const edges = new Map<string, string[]>();
  for (const [id, node] of nodes)
    edges.set(
      id,
      needsOf(node).filter((other) => nodes.has(other)),
    );
  const found: string[][] = [];
  const named = new Set<string>();
  for (const id of circular(edges)) {
    if (named.has(id)) continue;
    const circle = shortestCircle(id, edges);
    if (!circle) continue;
    found.push(circle);
    for (const member of circle) named.add(member);
  }
  return found;
}

/** What is left when nodes that need nothing, or that nothing needs, are taken away again and again. */
function circular(edges: ReadonlyMap<string, readonly string[]>): string[] {
  const backwards = new Map([...edges.keys()].map((id): [string, string[]] => [id, []]));
  for (const [id, needs] of edges) for (const other of needs) backwards.get(other)!.push(id);
  const left = strip(edges, backwards, new Set(edges.keys()));
  return [...strip(backwards, edges, left)].sort();
}

/** Takes away nodes whose outgoing edges all lead to nodes already taken. */
function strip(
  out: ReadonlyMap<string, readonly string[]>,
  back: ReadonlyMap<string, readonly string[]>,
  ids: ReadonlySet<string>,
): Set<string> {
  const left = new Set(ids);
  const degree = new Map([...left].map((id) => [id, out.get(id)!.filter((other) => left.has(other)).length]));
  const free = [...left].filter((id) => degree.get(id) === 0);
  for (let id = free.pop(); id !== undefined; id = free.pop()) {
    left.delete(id);
    for (const other of back.get(id)!) {
      if (!left.has(other)) continue;
      degree.set(other, degree.get(other)! - 1);
      if (degree.get(other) === 0) free.push(other);
    }
  }
  return left;
}

/** Breadth first from `start` back to it. Nodes between two circles are part of none. */
function shortestCircle(start: string, edges: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (const id of queue) {
    for (const next of [...edges.get(id)!].sort()) {
      if (next === start) return turned(trail(start, id, cameFrom));
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, id);
      queue.push(next);
    }
  }
  return undefined;
}

function trail(start: string, end: string, cameFrom: ReadonlyMap<string, string>): string[] {
  const ids = [end];
  while (ids[0] !== start) ids.unshift(cameFrom.get(ids[0]!)!);
  return ids;
}

function turned(circle: readonly string[]): string[] {
  const first = circle.indexOf([...circle].sort()[0]!);
  return [...circle.slice(first), ...circle.slice(0, first), circle[first]!];
}
