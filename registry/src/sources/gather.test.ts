import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newKey, packSample, type SamplePlugin } from '../../../test/support/packages.js';
import { Verdaccio } from '../../../test/support/verdaccio.js';
import { readPackage } from '../package/read-package.js';
import type { SigningKey } from '../package/publisher-key.js';
import { resolve } from '../resolve/resolve.js';
import { PackageStore } from '../store/package-store.js';
import { fetchPlan, gather } from './gather.js';
import { NpmSource } from './npm-source.js';
import type { OfferedVersion, PackageSource } from './package-source.js';

let root: string;
const key = newKey();

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'atoll-gather-'));
});
afterAll(() => rm(root, { recursive: true }));

const openStore = async () => PackageStore.open({ folder: await mkdtemp(path.join(root, 'store-')) });
const packed = async (sample: SamplePlugin, by: SigningKey = key) =>
  (await packSample(await mkdtemp(path.join(root, 'p-')), sample, by)).bytes;

/** A source in memory. */
class ListSource implements PackageSource {
  readonly asked: string[] = [];
  readonly #offers: { offered: OfferedVersion; bytes: Buffer }[] = [];

  constructor(readonly name: string) {}

  async add(sample: SamplePlugin, by?: SigningKey): Promise<this> {
    const bytes = await packed(sample, by);
    const { manifest, integrity } = await readPackage(bytes);
    const { name, version } = manifest;
    this.#offers.unshift({ offered: { name, version, manifest, integrity, tarball: '' }, bytes });
    return this;
  }

  async search(words: string) {
    const all = this.#offers.map(({ offered }) => offered);
    const found = all.filter(({ manifest: { id, provides } }) => id === words || Object.hasOwn(provides, words));
    return found.map(({ name, version }) => ({ name, version }));
  }

  async versions(name: string) {
    this.asked.push(name);
    return this.#offers.map(({ offered }) => offered).filter((offered) => offered.name === name);
  }

  async fetch({ integrity }: OfferedVersion) {
    return this.#offers.find(({ offered }) => offered.integrity === integrity)!.bytes;
  }
}

const planFor = (candidates: Awaited<ReturnType<typeof gather>>['candidates'], id: string) =>
  resolve({ kernel: '1.0.0', candidates, install: { [id]: 'latest' } });

describe('plugins of sources', () => {
  it('are found with all they need, and taken into the store', async () => {
    const source = await new ListSource('far').add({
      id: 'app',
      name: '@acme/app',
      atoll: { dependencies: { lib: '*' }, consumes: { llm: '^1.0.0' } },
    });
    await source.add({ id: 'lib' });
    await source.add({ id: 'model', atoll: { provides: { llm: '1.2.0' }, dependencies: { deep: '*' } } });
    await source.add({ id: 'deep' });
    const store = await openStore();
    const gathered = await gather({ catalogue: store.catalogue, sources: [source], ids: ['app'] });
    const plan = planFor(gathered.candidates, 'app');
    expect(plan.result).toEqual({ app: '1.0.0', deep: '1.0.0', lib: '1.0.0', model: '1.0.0' });
    await fetchPlan(store, plan, gathered);
    expect(store.catalogue.list().map(({ id }) => id)).toEqual(['app', 'deep', 'lib', 'model']);
    const again = await gather({ catalogue: store.catalogue, sources: [], ids: ['app'] });
    expect(planFor(again.candidates, 'app').result).toEqual(plan.result);
  });

  it('are the package that the store knows the id by, or else that of the first source', async () => {
    const good = await new ListSource('good').add({ id: 'greeter', name: '@good/greeter' });
    const evil = await new ListSource('evil').add(
      { id: 'greeter', name: '@evil/greeter', version: '99.0.0' },
      newKey(),
    );
    const store = await openStore();
    const first = await gather({ catalogue: store.catalogue, sources: [good, evil], ids: ['greeter'] });
    expect(first.candidates.map(({ version }) => version)).toEqual(['1.0.0']);
    await fetchPlan(store, planFor(first.candidates, 'greeter'), first);
    const second = await gather({ catalogue: store.catalogue, sources: [evil, good], ids: ['greeter'] });
    expect(planFor(second.candidates, 'greeter').result).toEqual({ greeter: '1.0.0' });
  });

  it('of another publisher under the same name do not get into the store', async () => {
    const store = await openStore();
    await store.publish(await packed({ id: 'greeter' }));
    const evil = await new ListSource('evil').add({ id: 'greeter', version: '99.0.0' }, newKey());
    const gathered = await gather({ catalogue: store.catalogue, sources: [evil], ids: ['greeter'] });
    await expect(fetchPlan(store, planFor(gathered.candidates, 'greeter'), gathered)).rejects.toMatchObject({
      code: 'PUBLISHER_MISMATCH',
    });
  });

  it('are found where they are when another source fails', async () => {
    const broken: PackageSource = {
      name: 'broken',
      search: () => Promise.reject(new AtollError('SOURCE_UNREACHABLE', 'no')),
      versions: () => Promise.reject(new AtollError('SOURCE_UNREACHABLE', 'no')),
      fetch: () => Promise.reject(new AtollError('SOURCE_UNREACHABLE', 'no')),
    };
    const source = await new ListSource('near').add({ id: 'greeter' });
    const store = await openStore();
    const gathered = await gather({ catalogue: store.catalogue, sources: [broken, source], ids: ['greeter'] });
    expect(gathered.problems).toMatchObject([{ source: 'broken', error: { code: 'SOURCE_UNREACHABLE' } }]);
    expect(planFor(gathered.candidates, 'greeter').result).toEqual({ greeter: '1.0.0' });
  });

  it('are not followed for ever', async () => {
    let made = 0;
    const endless: PackageSource = {
      name: 'endless',
      search: () => Promise.resolve([]),
      versions: async (name) => {
        made++;
        const id = name.replace(/^atoll-plugin-|^@atoll\/plugin-/, '');
        const { manifest } = await readPackage(await packed({ id, atoll: { dependencies: { [`n${made}`]: '*' } } }));
        return [{ name, version: '1.0.0', manifest: { ...manifest, name }, integrity: '', tarball: '' }];
      },
      fetch: () => Promise.reject(new Error('never')),
    };
    const store = await openStore();
    await gather({ catalogue: store.catalogue, sources: [endless], ids: ['n0'] });
    expect(made).toBeLessThanOrEqual(300);
  });

  it('come from a real registry as from any other', async () => {
    const verdaccio = await Verdaccio.start();
    try {
      const source = new NpmSource({ name: 'verdaccio', registry: verdaccio.url });
      for (const sample of [
        { id: 'top', name: '@acme/top', atoll: { consumes: { things: '*' } } },
        { id: 'thing-maker', atoll: { provides: { things: '1.0.0' } } },
      ]) {
        const bytes = await packed({
          ...sample,
          packageJson: { description: 'From afar' },
        });
        await source.publish(bytes, await readPackage(bytes));
      }
      const store = await openStore();
      const gathered = await gather({ catalogue: store.catalogue, sources: [source], ids: ['top'] });
      const plan = planFor(gathered.candidates, 'top');
      await fetchPlan(store, plan, gathered);
      expect(plan.steps.map(({ id }) => id)).toEqual(['thing-maker', 'top']);
      expect((await store.unpack('top', '1.0.0')).manifest.name).toBe('@acme/top');
    } finally {
      await verdaccio.stop();
    }
  });
});
