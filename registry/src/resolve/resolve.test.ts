import fc from 'fast-check';
import semver from 'semver';
import { describe, expect, it } from 'vitest';
import { planStart } from '../graph.js';
import { type PluginManifest, parseManifest } from '../manifest.js';
import type { Candidate } from './candidate.js';
import { formatPlan } from './plan.js';
import { type ResolveRequest, resolve } from './resolve.js';

const KERNEL = '1.0.0';

function manifest(id: string, version: string, field: object = {}): PluginManifest {
  return parseManifest({ name: `atoll-plugin-${id}`, version, atoll: { id, ...field } }, id);
}

function candidate(id: string, version: string, field: object = {}, more: Partial<Candidate> = {}): Candidate {
  return { id, version, manifest: manifest(id, version, field), ...more };
}

const plan = (candidates: Candidate[], request: Omit<ResolveRequest, 'kernel' | 'candidates'>) =>
  resolve({ kernel: KERNEL, candidates, ...request });

const stepsOf = (...args: Parameters<typeof plan>) =>
  plan(...args).steps.map(({ action, id, from, to }) =>
    [action, id, from, to].filter((part) => part !== undefined).join(' '),
  );

interface Failure {
  code: string;
  message: string;
  extras: {
    suggestions?: string[];
    conflict?: { chain: string[]; considered: { id: string; version: string; reason: string }[] };
  };
}

function failureOf(...args: Parameters<typeof plan>): Failure {
  try {
    plan(...args);
  } catch (error) {
    expect(error).toMatchObject({ name: 'AtollError' });
    return error as Failure;
  }
  throw new Error('It was resolved.');
}

describe('what is chosen', () => {
  it('is the newest that fits, with all it needs, in an order that works', () => {
    const world = [
      candidate('app', '1.0.0', { dependencies: { lib: '^1.0.0' }, consumes: { store: '^2.0.0' } }),
      candidate('lib', '1.0.0'),
      candidate('lib', '1.2.0'),
      candidate('lib', '2.0.0'),
      candidate('old-store', '1.0.0', { provides: { store: '1.0.0' } }),
      candidate('new-store', '1.0.0', { provides: { store: '2.1.0' } }),
    ];
    expect(stepsOf(world, { install: { app: '*' } })).toEqual([
      'install lib 1.2.0',
      'install new-store 1.0.0',
      'install app 1.0.0',
    ]);
  });

  it('is an older version where the newest can’t be', () => {
    const world = [
      candidate('app', '2.0.0', { dependencies: { lib: '^2.0.0' } }),
      candidate('app', '1.0.0', { dependencies: { lib: '^1.0.0' } }),
      candidate('lib', '1.0.0'),
      candidate('lib', '2.0.0', { engine: '^2.0.0' }),
    ];
    expect(stepsOf(world, { install: { app: '*' } })).toEqual(['install lib 1.0.0', 'install app 1.0.0']);
  });

  it('leaves alone what is installed, unless something needs another version', () => {
    const [lib1, lib2] = [candidate('lib', '1.0.0'), candidate('lib', '1.1.0')];
    const app = (range: string) => candidate('app', '1.0.0', { dependencies: { lib: range } });
    expect(stepsOf([app('^1.0.0'), lib1, lib2], { installed: [lib1.manifest], install: { app: '*' } })).toEqual([
      'install app 1.0.0',
    ]);
    expect(stepsOf([app('^1.1.0'), lib1, lib2], { installed: [lib1.manifest], install: { app: '*' } })).toEqual([
      'upgrade lib 1.0.0 1.1.0',
      'install app 1.0.0',
    ]);
  });

  it('takes a provider that is there rather than a new one', () => {
    const world = [
      candidate('app', '1.0.0', { consumes: { llm: '*' } }),
      candidate('a', '1.0.0', { provides: { llm: '1.0.0' } }),
      candidate('z', '1.0.0', { provides: { llm: '1.0.0' } }),
    ];
    expect(stepsOf(world, { installed: [world[2]!.manifest], install: { app: '*' } })).toEqual(['install app 1.0.0']);
    expect(stepsOf(world, { install: { app: '*', z: '*' } })).toEqual(['install z 1.0.0', 'install app 1.0.0']);
  });

  it('brings no provider that another one makes superfluous', () => {
    const world = [
      candidate('app', '1.0.0', { consumes: { one: '*', two: '*' } }),
      candidate('a', '1.0.0', { provides: { one: '1.0.0' } }),
      candidate('b', '1.0.0', { provides: { one: '1.0.0', two: '1.0.0' } }),
    ];
    expect(plan(world, { install: { app: '*' } }).result).toEqual({ app: '1.0.0', b: '1.0.0' });
  });

  it('upgrades what it is told to, never to an older version', () => {
    const world = [
      candidate('a', '1.0.0'),
      candidate('a', '1.5.0'),
      candidate('b', '1.0.0'),
      candidate('b', '2.0.0'),
      candidate('c', '0.9.0'),
    ];
    const installed = [manifest('a', '1.0.0'), manifest('b', '1.0.0'), manifest('c', '1.0.0')];
    expect(stepsOf(world, { installed, upgrade: ['a'] })).toEqual(['upgrade a 1.0.0 1.5.0']);
    expect(stepsOf(world, { installed, upgrade: 'all' })).toEqual(['upgrade a 1.0.0 1.5.0', 'upgrade b 1.0.0 2.0.0']);
  });

  it('goes back to an older version when that is asked for', () => {
    const installed = [manifest('a', '2.0.0')];
    expect(stepsOf([candidate('a', '1.0.0')], { installed, install: { a: '1.0.0' } })).toEqual([
      'downgrade a 2.0.0 1.0.0',
    ]);
  });

  it('takes pre-releases only when they are asked for', () => {
    const world = [candidate('a', '1.0.0'), candidate('a', '1.1.0-rc.1')];
    expect(plan(world, { install: { a: 'latest' } }).result).toEqual({ a: '1.0.0' });
    expect(plan(world, { install: { a: 'next' } }).result).toEqual({ a: '1.1.0-rc.1' });
    expect(stepsOf(world, { installed: [manifest('a', '1.0.0')], upgrade: 'all' })).toEqual([]);
  });

  it('goes by the channels of a store', () => {
    const world = [
      candidate('a', '1.0.0', {}, { channel: 'latest' }),
      candidate('a', '1.1.0', {}, { channel: 'next' }),
      candidate('a', '1.2.0-rc.1', {}, { channel: 'latest' }),
      candidate('b', '1.0.0', { dependencies: { a: '^1.0.0' } }),
    ];
    expect(plan(world, { install: { a: 'latest' } }).result).toEqual({ a: '1.2.0-rc.1' });
    expect(plan(world.slice(0, 2), { install: { a: 'latest' } }).result).toEqual({ a: '1.0.0' });
    expect(plan(world.slice(0, 2), { install: { a: 'next' } }).result).toEqual({ a: '1.1.0' });
    expect(plan(world, { install: { b: 'latest' } }).result).toEqual({ a: '1.0.0', b: '1.0.0' });
    expect(stepsOf(world.slice(0, 2), { installed: [manifest('a', '1.0.0')], upgrade: 'all' })).toEqual([]);
  });

  it('prefers what is not deprecated and never takes what was yanked, but lets it stay', () => {
    const world = [
      candidate('a', '1.0.0'),
      candidate('a', '1.1.0', {}, { deprecated: 'slow' }),
      candidate('a', '1.2.0', {}, { excluded: 'was yanked: loses data' }),
    ];
    expect(plan(world, { install: { a: '*' } }).result).toEqual({ a: '1.0.0' });
    expect(plan(world, { install: { a: '^1.1.0' } }).steps).toMatchObject([{ to: '1.1.0', deprecated: 'slow' }]);
    expect(failureOf(world, { install: { a: '^1.2.0' } }).message).toContain('a 1.2.0 was yanked: loses data');
    expect(stepsOf(world, { installed: [manifest('a', '1.2.0')] })).toEqual([]);
  });

  it('lets optional dependencies be absent, but not wrong', () => {
    const app = candidate('app', '1.0.0', { optionalDependencies: { extra: '^2.0.0' } });
    const [one, two] = [candidate('extra', '1.0.0'), candidate('extra', '2.0.0')];
    expect(plan([app, one, two], { install: { app: '*' } }).result).toEqual({ app: '1.0.0' });
    expect(stepsOf([app, one, two], { installed: [one.manifest], install: { app: '*' } })).toEqual([
      'upgrade extra 1.0.0 2.0.0',
      'install app 1.0.0',
    ]);
    expect(failureOf([app, one], { installed: [one.manifest], install: { app: '*' } }).code).toBe(
      'DEPENDENCY_CONFLICT',
    );
  });

  it('does not let what was broken before stand in the way', () => {
    const hopeless = manifest('hopeless', '1.0.0', { consumes: { absent: '*' } });
    const old = manifest('old', '1.0.0', { engine: '^0.1.0' });
    const world = [candidate('a', '1.0.0')];
    expect(stepsOf(world, { installed: [hopeless, old], install: { a: '*' } })).toEqual(['install a 1.0.0']);
    expect(failureOf(world, { installed: [hopeless], upgrade: ['hopeless'] }).code).toBe('DEPENDENCY_MISSING');
  });
});

describe('removing', () => {
  const lib = candidate('lib', '1.0.0', { provides: { llm: '1.0.0' } });
  const app = candidate('app', '1.0.0', { dependencies: { lib: '*' } });
  const other = candidate('other', '1.0.0', { dependencies: { app: '*' } });
  const installed = [lib, app, other].map(({ manifest }) => manifest);

  it('is refused while something needs it, with all that does', () => {
    expect(failureOf([], { installed, remove: ['lib'] })).toMatchObject({
      code: 'PLUGIN_NEEDED',
      message: '"lib" is needed by "app", "other".',
    });
  });

  it('takes along what needs it when told so, dependants first', () => {
    expect(stepsOf([], { installed, remove: ['lib'], cascade: true })).toEqual([
      'remove other 1.0.0',
      'remove app 1.0.0',
      'remove lib 1.0.0',
    ]);
    expect(stepsOf([], { installed, remove: ['other'] })).toEqual(['remove other 1.0.0']);
  });

  it('of what is not there is told, with what was probably meant', () => {
    expect(failureOf([], { installed, remove: ['libb'] })).toMatchObject({
      code: 'PLUGIN_NOT_FOUND',
      message: '"libb" is not installed. Did you mean "lib"?',
    });
  });
});

describe('what can’t be', () => {
  it('names the whole chain to what is missing, and who was probably meant', () => {
    const world = [
      candidate('app', '1.0.0', { dependencies: { mid: '*' } }),
      candidate('mid', '1.2.0', { dependencies: { 'llm-ruter': '^1.0.0' } }),
      candidate('llm-router', '1.0.0'),
    ];
    const { code, message, extras } = failureOf(world, { install: { app: '*' } });
    expect(code).toBe('DEPENDENCY_MISSING');
    expect(message).toContain('"app" (*) is asked for');
    expect(message).toContain('mid 1.2.0 needs the plugin "llm-ruter" ^1.0.0, which no source has');
    expect(extras.suggestions).toEqual(['Did you mean "llm-router"?']);
  });

  it('names a service that nobody provides, and one in a wrong version', () => {
    const app = candidate('app', '1.0.0', { consumes: { llm: '^2.0.0' } });
    expect(failureOf([app], { install: { app: '*' } })).toMatchObject({
      code: 'DEPENDENCY_MISSING',
      extras: { suggestions: ['Add a source that has a plugin providing "llm".'] },
    });
    const { code, message } = failureOf([app, candidate('p', '1.0.0', { provides: { llm: '1.4.0' } })], {
      install: { app: '*' },
    });
    expect(code).toBe('DEPENDENCY_CONFLICT');
    expect(message).toContain('needs the service "llm" ^2.0.0 (p 1.0.0 provides "llm" 1.4.0)');
  });

  it('names both sides of a conflict', () => {
    const world = [
      candidate('a', '1.0.0', { dependencies: { lib: '^1.0.0' } }),
      candidate('b', '1.0.0', { dependencies: { lib: '^2.0.0' } }),
      candidate('lib', '1.0.0'),
      candidate('lib', '2.0.0'),
    ];
    const { code, message, extras } = failureOf(world, { install: { a: '*', b: '*' } });
    expect(code).toBe('DEPENDENCY_CONFLICT');
    expect(message).toMatch(/lib 1\.0\.0 is not in \^2\.0\.0, which b 1\.0\.0 needs/);
    expect(extras.conflict!.chain[0]).toBe('"a" (*) is asked for');
  });

  it('names a circle', () => {
    const world = [
      candidate('a', '1.0.0', { dependencies: { b: '*' } }),
      candidate('b', '1.0.0', { dependencies: { c: '*' } }),
      candidate('c', '1.0.0', { dependencies: { a: '*' } }),
    ];
    const { code, message } = failureOf(world, { install: { a: '*' } });
    expect(code).toBe('DEPENDENCY_CYCLE');
    expect(message).toContain('c → a → b → c');
  });

  it('says which kernel is needed', () => {
    const { message, extras } = failureOf([candidate('a', '2.0.0', { engine: '^2.0.0' })], { install: { a: '*' } });
    expect(message).toContain('a 2.0.0 needs the kernel ^2.0.0; this is 1.0.0');
    expect(extras.suggestions).toEqual(['Upgrade Atoll to a version in ^2.0.0 for a 2.0.0.']);
  });

  it('says which plugins exclude each other', () => {
    const world = [
      candidate('a', '1.0.0', { conflicts: { b: '<2' } }),
      candidate('b', '1.0.0'),
      candidate('b', '2.0.0'),
    ];
    expect(failureOf(world, { installed: [world[1]!.manifest], install: { a: '*', b: '1.0.0' } })).toMatchObject({
      code: 'DEPENDENCY_CONFLICT',
      message: expect.stringMatching(/b 1\.0\.0 can't run beside a 1\.0\.0/) as string,
    });
    expect(stepsOf(world, { installed: [world[1]!.manifest], install: { a: '*' } })).toEqual([
      'install a 1.0.0',
      'upgrade b 1.0.0 2.0.0',
    ]);
    const clashing = [candidate('x', '1.0.0', { mounts: ['/v1'] }), candidate('y', '1.0.0', { mounts: ['/v1/chat'] })];
    expect(failureOf(clashing, { install: { x: '*', y: '*' } })).toMatchObject({
      message: expect.stringContaining('y 1.0.0 mounts /v1/chat, which clashes with /v1 of x 1.0.0') as string,
      extras: { suggestions: ['Remove "x" first, or leave "y" out.'] },
    });
  });

  it('says what there is when a version does not exist', () => {
    expect(failureOf([candidate('a', '1.0.0')], { install: { a: '^2.0.0' } })).toMatchObject({
      code: 'VERSION_NOT_FOUND',
    });
    expect(failureOf([candidate('greeter', '1.0.0')], { install: { greter: '*' } })).toMatchObject({
      code: 'VERSION_NOT_FOUND',
      extras: { suggestions: ['Did you mean "greeter"?'] },
    });
  });
});

describe('a plan', () => {
  it('says why, and what has to be agreed to', () => {
    const world = [
      candidate('app', '1.0.0', { dependencies: { lib: '*' } }),
      candidate(
        'lib',
        '1.0.0',
        { permissions: { net: ['https://api.example.com'] } },
        { integrity: 'sha512-x', source: 'npm' },
      ),
    ];
    const found = plan(world, { install: { app: '*' } });
    expect(found).toMatchObject({
      steps: [
        { id: 'lib', because: 'app 1.0.0 needs the plugin "lib" *', integrity: 'sha512-x', source: 'npm' },
        { id: 'app', because: 'you asked for it' },
      ],
      needConsent: ['lib'],
    });
    expect(formatPlan(found)).toBe(
      'install   lib 1.0.0 (app 1.0.0 needs the plugin "lib" *)\n' +
        '          asks for net https://api.example.com\n' +
        'install   app 1.0.0 (you asked for it)\n' +
        '0 stay as they are.\n' +
        'Needs consent: lib.',
    );
  });
});

describe('any world', () => {
  const ids = ['a', 'b', 'c', 'd'];
  const versions = ['1.0.0', '1.1.0', '2.0.0'];
  const range = fc.constantFrom('*', '^1.0.0', '^1.1.0', '>=2', '1.0.0');
  const ranges = (keys: string[], maxKeys: number) => fc.dictionary(fc.constantFrom(...keys), range, { maxKeys });
  const field = fc.record({
    engine: fc.constantFrom('*', '*', '*', '^1.0.0', '^2.0.0'),
    dependencies: ranges(ids, 2),
    optionalDependencies: ranges(ids, 1),
    conflicts: ranges(ids, 1),
    provides: fc.dictionary(fc.constantFrom('s', 't'), fc.constantFrom('1.0.0', '2.0.0'), { maxKeys: 2 }),
    consumes: ranges(['s', 't'], 1),
    mounts: fc.constantFrom<string[]>([], [], ['/m'], ['/m/x']),
  });
  const without = (record: Record<string, string>, id: string) =>
    Object.fromEntries(Object.entries(record).filter(([key]) => key !== id));
  const one = fc
    .tuple(fc.constantFrom(...ids), fc.constantFrom(...versions), field)
    .map(([id, version, { dependencies, optionalDependencies, conflicts, ...rest }]) =>
      candidate(id, version, {
        ...rest,
        dependencies: without(dependencies, id),
        optionalDependencies: without(optionalDependencies, id),
        conflicts: without(conflicts, id),
      }),
    );
  const world = fc.uniqueArray(one, { maxLength: 9, selector: ({ id, version }) => `${id}@${version}` });
  const wants = fc.dictionary(fc.constantFrom(...ids), fc.constantFrom('*', '^1.0.0', '2.0.0'), {
    minKeys: 1,
    maxKeys: 2,
  });

  const fits = (version: string | undefined, wanted: string) =>
    version !== undefined && semver.satisfies(version, wanted);

  /** Written without the resolver's code: whether these plugins can all run together. */
  function isSound(set: readonly PluginManifest[]): boolean {
    const versionOf = (id: string) => set.find((other) => other.id === id)?.version;
    const holds = set.every(
      (plugin) =>
        semver.satisfies(KERNEL, plugin.engine) &&
        Object.entries(plugin.dependencies).every(([id, wanted]) => fits(versionOf(id), wanted)) &&
        Object.entries(plugin.optionalDependencies).every(
          ([id, wanted]) => versionOf(id) === undefined || fits(versionOf(id), wanted),
        ) &&
        Object.entries(plugin.conflicts).every(([id, wanted]) => !fits(versionOf(id), wanted)) &&
        Object.entries(plugin.consumes).every(([service, wanted]) =>
          set.some(({ provides }) => fits(provides[service], wanted)),
        ) &&
        set.every(
          (other) =>
            other === plugin ||
            !plugin.mounts.some((mount) =>
              other.mounts.some((their) => their === mount || their.startsWith(`${mount}/`)),
            ),
        ),
    );
    return holds && planStart(set).cycles.length === 0;
  }

  function* allSets(candidates: readonly Candidate[]): Generator<PluginManifest[]> {
    const choices = ids.map((id) => [undefined, ...candidates.filter((one) => one.id === id)]);
    const counts = choices.map(({ length }) => length);
    const total = counts.reduce((product, count) => product * count, 1);
    for (let at = 0; at < total; at++) {
      let rest = at;
      const set: PluginManifest[] = [];
      for (const [index, count] of counts.entries()) {
        const choice = choices[index]![rest % count];
        if (choice) set.push(choice.manifest);
        rest = Math.floor(rest / count);
      }
      yield set;
    }
  }

  function attempt(request: ResolveRequest) {
    try {
      return resolve(request);
    } catch (error) {
      expect(error).toMatchObject({
        code: expect.stringMatching(/^(VERSION_NOT_FOUND|DEPENDENCY_(MISSING|CONFLICT|CYCLE))$/) as string,
      });
      expect((error as Failure).extras.suggestions).not.toEqual([]);
      expect((error as Failure).message.length).toBeLessThan(5000);
      return undefined;
    }
  }

  const manifestsOf = (candidates: readonly Candidate[], result: Readonly<Record<string, string>>) =>
    Object.entries(result).map(
      ([id, version]) => candidates.find((one) => one.id === id && one.version === version)!.manifest,
    );

  it('is resolved exactly when there is a way, soundly and without anything superfluous', () => {
    let [resolved, refused] = [0, 0];
    fc.assert(
      fc.property(world, wants, (candidates, install) => {
        const found = attempt({ kernel: KERNEL, candidates, install });
        const good = (set: readonly PluginManifest[]) =>
          Object.entries(install).every(([id, wanted]) =>
            fits(set.find((other) => other.id === id)?.version, wanted),
          ) && isSound(set);
        if (!found) {
          refused++;
          for (const set of allSets(candidates)) expect(good(set)).toBe(false);
          return;
        }
        resolved++;
        const set = manifestsOf(candidates, found.result);
        expect(good(set)).toBe(true);
        for (const extra of set) expect(good(set.filter((other) => other !== extra))).toBe(false);
      }),
      { numRuns: 3000 },
    );
    expect(Math.min(resolved, refused)).toBeGreaterThan(100);
  });

  it('keeps what is installed and sound, and finds a way beside it when there is one', () => {
    fc.assert(
      fc.property(world, wants, fc.nat(), (candidates, install, pick) => {
        const sound = [...allSets(candidates)].filter(isSound);
        const installed = sound[pick % sound.length]!;
        const found = attempt({ kernel: KERNEL, candidates, installed, install });
        const allowed = (set: readonly PluginManifest[]) =>
          Object.entries(install).every(([id, wanted]) =>
            fits(set.find((other) => other.id === id)?.version, wanted),
          ) &&
          installed.every(({ id, version }) => {
            const now = set.find((other) => other.id === id)?.version;
            return now !== undefined && (Object.hasOwn(install, id) || semver.gte(now, version));
          });
        if (found) {
          const set = manifestsOf(candidates, found.result);
          expect(allowed(set) && isSound(set)).toBe(true);
        } else for (const set of sound) expect(allowed(set)).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });

  it('gives the same plan whatever the order of what is given', () => {
    fc.assert(
      fc.property(world, wants, fc.infiniteStream(fc.nat()), (candidates, install, stream) => {
        const keys = new Map(candidates.map((one) => [one, stream.next().value as number]));
        const shuffled = [...candidates].sort((a, b) => keys.get(a)! - keys.get(b)!);
        const reversed = Object.fromEntries(Object.entries(install).reverse());
        expect(attempt({ kernel: KERNEL, candidates: shuffled, install: reversed })).toEqual(
          attempt({ kernel: KERNEL, candidates, install }),
        );
      }),
    );
  });

  it('can carry out the steps one after the other', () => {
    fc.assert(
      fc.property(world, wants, (candidates, install) => {
        const found = attempt({ kernel: KERNEL, candidates, install });
        const there = new Set<string>();
        for (const { id, to } of found?.steps ?? []) {
          const { dependencies } = candidates.find((one) => one.id === id && one.version === to)!.manifest;
          for (const needed of Object.keys(dependencies)) expect(there).toContain(needed);
          there.add(id);
        }
      }),
    );
  });

  it('is decided in time also where choices are many', () => {
    const many = Array.from({ length: 60 }, (_, at) => `p${at}`);
    const candidates = many.flatMap((id, at) =>
      ['1.0.0', '1.1.0', '1.2.0', '1.3.0'].map((version) =>
        candidate(id, version, {
          dependencies: at + 1 < many.length ? { [many[at + 1]!]: `<=${version}` } : { absent: '*' },
        }),
      ),
    );
    expect(failureOf(candidates, { install: { p0: '*' } }).code).toBe('DEPENDENCY_MISSING');
  });
});
