import fc from 'fast-check';
import semver from 'semver';
import { describe, expect, it } from 'vitest';
import { dependantsOf, type GraphNode, planStart } from './graph.js';

type Parts = Partial<Omit<GraphNode, 'id'>>;

const node = (id: string, parts: Parts = {}): GraphNode => ({
  id,
  version: '1.0.0',
  dependencies: {},
  optionalDependencies: {},
  provides: {},
  consumes: {},
  ...parts,
});
const needs = (...ids: string[]): Record<string, string> => Object.fromEntries(ids.map((id) => [id, '*']));
const reasons = (enabled: GraphNode[], installed?: GraphNode[]) =>
  Object.fromEntries(planStart(enabled, installed).pending);

describe('the order', () => {
  it('puts what is needed first, in layers, sorted', () => {
    const plan = planStart([
      node('web', { dependencies: needs('auth', 'db') }),
      node('auth', { dependencies: needs('db') }),
      node('zoo'),
      node('db'),
    ]);
    expect(plan.order).toEqual([['db', 'zoo'], ['auth'], ['web']]);
    expect(plan.pending.size).toBe(0);
  });

  it('puts providers before consumers', () => {
    const plan = planStart([node('a', { consumes: { llm: '^1.0.0' } }), node('b', { provides: { llm: '1.2.0' } })]);
    expect(plan.order).toEqual([['b'], ['a']]);
  });

  it('starts what provides for each other at once', () => {
    const plan = planStart([
      node('a', { provides: { x: '1.0.0' }, consumes: { y: '*' } }),
      node('b', { provides: { y: '1.0.0' }, consumes: { x: '*' } }),
    ]);
    expect(plan.order).toEqual([['a', 'b']]);
  });

  it('honours optional dependencies that are there, and does without those that are not', () => {
    const a = node('a', { optionalDependencies: needs('b', 'absent') });
    expect(planStart([a, node('b')]).order).toEqual([['b'], ['a']]);
    expect(planStart([a]).order).toEqual([['a']]);
  });

  it('lets a need prevail over a mutual wish', () => {
    const plan = planStart([node('a', { dependencies: needs('b') }), node('b', { optionalDependencies: needs('a') })]);
    expect(plan.order).toEqual([['b'], ['a']]);
  });
});

describe('conflicts', () => {
  const later = 'can\'t run beside the plugin "a" 1.0.0, which comes first: "b" conflicts with "a" ^1.0.0';

  it('hold the later one back, with a reason that names both', () => {
    const plan = planStart([node('a'), node('b', { conflicts: { a: '^1.0.0' } })]);
    expect(plan.order).toEqual([['a']]);
    expect(Object.fromEntries(plan.pending)).toEqual({ b: later });
  });

  it('hold the later one back when the earlier one says so, too', () => {
    expect(reasons([node('b', { conflicts: { a: '^1.0.0' } }), node('a')])).toEqual({
      a: 'can\'t run beside the plugin "b" 1.0.0, which comes first: "b" conflicts with "a" ^1.0.0',
    });
  });

  it('are about versions in the range only', () => {
    expect(reasons([node('a'), node('b', { conflicts: { a: '^2.0.0', absent: '*' } })])).toEqual({});
  });

  it('end when the other one is disabled or can’t start', () => {
    const b = node('b', { conflicts: { a: '^1.0.0' } });
    expect(reasons([b], [node('a'), b])).toEqual({});
    expect(planStart([node('a', { dependencies: needs('absent') }), b]).order).toEqual([['b']]);
  });

  it('hold back what needs the one that is held back, and not what conflicts with that', () => {
    const plan = planStart([
      node('a'),
      node('c', { dependencies: needs('b') }),
      node('d', { consumes: { x: '*' } }),
      node('b', { conflicts: { a: '^1.0.0' }, provides: { x: '1.0.0' } }),
      node('e', { conflicts: { b: '*' } }),
    ]);
    expect(plan.order).toEqual([['a', 'e']]);
    expect(plan.pending.get('c')).toBe(`needs the plugin "b", which is pending: it ${later}`);
    expect(plan.pending.get('d')).toBe(`needs the service "x" *, whose provider "b" is pending: it ${later}`);
  });
});

describe('the reasons', () => {
  it('a plugin that is not installed', () => {
    expect(reasons([node('a', { dependencies: { b: '^1.0.0' } })])).toEqual({
      a: 'needs the plugin "b" ^1.0.0, which is not installed',
    });
  });

  it('a plugin that is disabled', () => {
    const a = node('a', { dependencies: { b: '^1.0.0' } });
    expect(reasons([a], [a, node('b')])).toEqual({ a: 'needs the plugin "b", which is disabled; enable it first' });
    expect(reasons([a], [a, { ...node('b'), outOfAction: 'is quarantined' }])).toEqual({
      a: 'needs the plugin "b", which is quarantined',
    });
  });

  it('a wrong version, also of a disabled plugin, where enabling would not help', () => {
    const a = node('a', { dependencies: { b: '^2.0.0' } });
    const reason = { a: 'needs the plugin "b" ^2.0.0, but 1.0.0 is installed' };
    expect(reasons([a, node('b')])).toEqual(reason);
    expect(reasons([a], [a, node('b')])).toEqual(reason);
  });

  it('what waits for what waits', () => {
    const missing = node('a', { dependencies: needs('absent') });
    expect(reasons([missing, node('b', { dependencies: needs('a') })]).b).toBe(
      'needs the plugin "a", which is pending: it needs the plugin "absent" *, which is not installed',
    );
  });

  it('a service that nobody provides', () => {
    expect(reasons([node('a', { consumes: { llm: '^1.0.0' } })])).toEqual({
      a: 'needs the service "llm" ^1.0.0, which no installed plugin provides',
    });
  });

  it('a service that disabled plugins could provide', () => {
    const a = node('a', { consumes: { llm: '^1.0.0' } });
    const [b, c] = [node('b', { provides: { llm: '1.0.0' } }), node('c', { provides: { llm: '1.1.0' } })];
    expect(reasons([a], [a, b, c])).toEqual({
      a: 'needs the service "llm" ^1.0.0; "b" could provide it but is disabled, "c" could provide it but is disabled',
    });
    expect(reasons([a], [a, { ...b, outOfAction: 'has failed' }])).toEqual({
      a: 'needs the service "llm" ^1.0.0; "b" could provide it but has failed',
    });
  });

  it('a service in wrong versions', () => {
    const a = node('a', { consumes: { llm: '^2.0.0' } });
    const [b, c] = [node('b', { provides: { llm: '1.4.0' } }), node('c', { provides: { llm: '3.0.0' } })];
    expect(reasons([a, b], [a, b, c])).toEqual({
      a: 'needs the service "llm" ^2.0.0, but "b" provides 1.4.0, "c" provides 3.0.0 (disabled)',
    });
  });

  it('a service whose only provider waits itself', () => {
    const provider = node('p', { provides: { llm: '1.0.0' }, dependencies: needs('absent') });
    expect(reasons([node('a', { consumes: { llm: '*' } }), provider]).a).toMatch(
      /^needs the service "llm" \*, whose provider "p" is pending: it needs the plugin "absent"/,
    );
  });

  it('nothing, when one of several providers can run', () => {
    const broken = node('p', { provides: { llm: '1.0.0' }, dependencies: needs('absent') });
    const plan = planStart([node('a', { consumes: { llm: '*' } }), broken, node('q', { provides: { llm: '1.0.0' } })]);
    expect([...plan.pending.keys()]).toEqual(['p']);
  });

  it.each(['constructor', 'toString', '__proto__'])('a service named %s, which every object seems to have', (name) => {
    const consumes = Object.fromEntries([[name, '*']]);
    expect([...planStart([node('a', { consumes }), node('b')]).pending.keys()]).toEqual(['a']);
  });
});

describe('circles', () => {
  it('are refused with the whole chain', () => {
    const plan = planStart([
      node('c', { dependencies: needs('a') }),
      node('a', { dependencies: needs('b') }),
      node('b', { dependencies: needs('c') }),
      node('free'),
    ]);
    expect(plan.cycles).toEqual([['a', 'b', 'c', 'a']]);
    expect(plan.pending.get('b')).toBe('is part of a circle of dependencies: a → b → c → a');
    expect(plan.order).toEqual([['free']]);
  });

  it('that share a plugin are all named', () => {
    const plan = planStart([
      node('a', { dependencies: needs('b') }),
      node('b', { dependencies: needs('a', 'c') }),
      node('c', { dependencies: needs('b') }),
    ]);
    expect(plan.cycles).toEqual([
      ['a', 'b', 'a'],
      ['b', 'c', 'b'],
    ]);
  });

  it('of one plugin', () => {
    expect(planStart([node('a', { dependencies: needs('a') })]).cycles).toEqual([['a', 'a']]);
  });

  it('hold back what needs them, or lies between them, without counting it in', () => {
    const plan = planStart([
      node('a', { dependencies: needs('a') }),
      node('between', { dependencies: needs('a') }),
      node('z', { dependencies: needs('z', 'between') }),
    ]);
    expect(plan.cycles).toEqual([
      ['a', 'a'],
      ['z', 'z'],
    ]);
    expect(plan.pending.get('between')).toMatch(/^needs the plugin "a", which is pending: it is part of a circle/);
  });
});

describe('dependantsOf', () => {
  const a = node('a', { provides: { llm: '1.0.0' } });
  const b = node('b', { dependencies: needs('a') });
  const c = node('c', { dependencies: needs('b') });
  const user = node('user', { consumes: { llm: '*' } });

  it('lists what needs a plugin, nearest first', () => {
    expect(dependantsOf('a', [c, b, a, user])).toEqual(['b', 'user', 'c']);
    expect(dependantsOf('c', [a, b, c, user])).toEqual([]);
  });

  it('leaves out consumers that another plugin can serve', () => {
    const other = node('other', { provides: { llm: '1.1.0' } });
    expect(dependantsOf('a', [a, user, other])).toEqual([]);
  });

  it('counts a provider that goes away in turn', () => {
    const through = node('through', { provides: { llm: '1.0.0' }, dependencies: needs('a') });
    expect(dependantsOf('a', [a, user, through])).toEqual(['through', 'user']);
  });

  it('leaves out what could not run before, either', () => {
    const hopeless = node('hopeless', { consumes: { absent: '*' } });
    expect(dependantsOf('a', [a, hopeless])).toEqual([]);
  });
});

describe('any graph', () => {
  const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const services = ['x', 'y', 'constructor'];
  const version = fc.constantFrom('1.0.0', '1.2.3', '2.0.0', '1.0.0-rc.1');
  const range = fc.constantFrom('*', '^1.0.0', '>=2', '1.2.3');
  const recordOf = (keys: string[], value: fc.Arbitrary<string>) =>
    fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 3 });
  const anyNode = fc.record({
    id: fc.constantFrom(...ids),
    version,
    dependencies: recordOf(ids, range),
    optionalDependencies: recordOf(ids, range),
    provides: recordOf(services, version),
    consumes: recordOf(services, range),
  });
  const anyGraph = fc.uniqueArray(anyNode, { selector: ({ id }) => id });

  it('gets each enabled plugin either a place or a reason', () => {
    fc.assert(
      fc.property(anyGraph, fc.nat(8), (all, count) => {
        const enabled = all.slice(0, count);
        const { order, pending } = planStart(enabled, all);
        expect([...order.flat(), ...pending.keys()].sort()).toEqual(enabled.map(({ id }) => id).sort());
      }),
    );
  });

  it('starts nothing before what it depends on, and nothing without its services', () => {
    fc.assert(
      fc.property(anyGraph, (all) => {
        const { order } = planStart(all);
        const layerOf = new Map(order.flatMap((layer, at) => layer.map((id): [string, number] => [id, at])));
        for (const { id, dependencies, consumes } of all.filter((one) => layerOf.has(one.id))) {
          for (const other of Object.keys(dependencies)) expect(layerOf.get(other)).toBeLessThan(layerOf.get(id)!);
          for (const service of Object.keys(consumes)) {
            expect(all.some((one) => layerOf.has(one.id) && Object.hasOwn(one.provides, service))).toBe(true);
          }
        }
      }),
    );
  });

  it('with conflicts never starts two that exclude each other, and gives all a place or a reason', () => {
    const contrary = fc.uniqueArray(
      fc.tuple(anyNode, recordOf(ids, range)).map(([one, conflicts]) => ({ ...one, conflicts })),
      { selector: ({ id }) => id },
    );
    fc.assert(
      fc.property(contrary, (all) => {
        const { order, pending } = planStart(all);
        expect([...order.flat(), ...pending.keys()].sort()).toEqual(all.map(({ id }) => id).sort());
        const running = all.filter(({ id }) => order.flat().includes(id));
        for (const one of running)
          for (const other of running.filter((two) => two !== one && Object.hasOwn(one.conflicts, two.id)))
            expect(semver.satisfies(other.version, one.conflicts[other.id]!)).toBe(false);
      }),
    );
  });

  it('without circles has none, and starts whole', () => {
    const dag = fc.array(fc.tuple(fc.nat(7), fc.nat(7)), { maxLength: 30 }).map((edges) =>
      ids.map((id, at) =>
        node(id, {
          dependencies: needs(...edges.filter(([from, to]) => from === at && to < at).map(([, to]) => ids[to]!)),
        }),
      ),
    );
    fc.assert(
      fc.property(dag, (all) => {
        const plan = planStart(all);
        expect(plan.cycles).toEqual([]);
        expect(plan.order.flat().sort()).toEqual(ids);
      }),
    );
  });

  it('names exactly the plugins that can be reached from themselves', () => {
    fc.assert(
      fc.property(anyGraph, (all) => {
        const { cycles } = planStart(all);
        expect([...new Set(cycles.flat())].sort()).toEqual(
          all
            .filter(({ id }) => reaches(id, id, all))
            .map(({ id }) => id)
            .sort(),
        );
        for (const cycle of cycles) {
          expect(cycle.at(-1)).toBe(cycle[0]);
          for (const [at, id] of cycle.slice(0, -1).entries())
            expect(all.find((one) => one.id === id)!.dependencies).toHaveProperty(cycle[at + 1]!);
        }
      }),
    );
  });

  it('loses exactly the dependants when a plugin stops', () => {
    fc.assert(
      fc.property(anyGraph, fc.constantFrom(...ids), (all, id) => {
        const before = planStart(all);
        const after = planStart(all.filter((one) => one.id !== id));
        const lost = before.pending.has(id)
          ? []
          : [...after.pending.keys()].filter((other) => !before.pending.has(other));
        expect(dependantsOf(id, all).sort()).toEqual(lost.sort());
      }),
    );
  });

  it('of thousands in a row does not overflow the stack', () => {
    const chain = Array.from({ length: 5_000 }, (_, at) =>
      node(`p${at}`, { dependencies: needs(`p${(at + 1) % 5_000}`) }),
    );
    expect(planStart(chain).cycles).toHaveLength(1);
    expect(planStart(chain.slice(0, -1)).pending.size).toBe(4_999);
  });
});

function reaches(from: string, to: string, all: readonly GraphNode[]): boolean {
  const seen = new Set<string>();
  const queue = [from];
  for (const id of queue) {
    for (const next of Object.keys(all.find((one) => one.id === id)?.dependencies ?? {})) {
      if (next === to && all.some((one) => one.id === to)) return true;
      if (!seen.has(next)) queue.push(next);
      seen.add(next);
    }
  }
  return false;
}
