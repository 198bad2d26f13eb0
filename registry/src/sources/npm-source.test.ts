import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { newKey, packSample, type SamplePlugin } from '../../../test/support/packages.js';
import { Verdaccio } from '../../../test/support/verdaccio.js';
import { readPackage } from '../package/read-package.js';
import { resolve } from '../resolve/resolve.js';
import { PackageStore } from '../store/package-store.js';
import { fetchIntoStore } from './fetch-into-store.js';
import { NpmSource } from './npm-source.js';
import { offeredCandidate } from './package-source.js';

let root: string;
let verdaccio: Verdaccio;
const key = newKey();

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'atoll-npm-'));
  verdaccio = await Verdaccio.start();
}, 60_000);
afterAll(async () => {
  await verdaccio.stop();
  await rm(root, { recursive: true });
});

const packed = async (sample: SamplePlugin) => packSample(await mkdtemp(path.join(root, 'p-')), sample, key);
const sourceOf = (token?: string) =>
  new NpmSource({ name: 'verdaccio', registry: verdaccio.url, retries: 0, ...(token !== undefined && { token }) });
const openStore = async () => PackageStore.open({ folder: await mkdtemp(path.join(root, 'store-')) });
const codeOf = (task: Promise<unknown>): Promise<unknown> =>
  task.then(
    () => 'done',
    (error: { code: unknown }) => error.code ?? error,
  );

async function publish(sample: SamplePlugin, source = sourceOf()) {
  const { bytes } = await packed(sample);
  await source.publish(bytes, await readPackage(bytes));
  return bytes;
}

describe('a real npm registry', () => {
  it('takes a package and gives it back, byte for byte, down to the store', async () => {
    const bytes = await publish({
      id: 'greeter',
      name: '@acme/greeter',
      atoll: { title: 'Greets' },
      packageJson: { description: 'Says hello' },
    });
    await publish({ id: 'greeter', name: '@acme/greeter', version: '1.1.0' });
    const source = sourceOf();
    const versions = await source.versions('@acme/greeter');
    expect(versions.map(({ version, manifest }) => [version, manifest.title])).toEqual([
      ['1.1.0', 'greeter'],
      ['1.0.0', 'Greets'],
    ]);
    const store = await openStore();
    const offered = versions[1]!;
    expect(await fetchIntoStore(store, source, offered)).toEqual({ outcome: 'added', id: 'greeter', version: '1.0.0' });
    expect((await store.tarball('greeter', '1.0.0')).equals(bytes)).toBe(true);
    expect(store.catalogue.version('greeter', '1.0.0')).toMatchObject({
      origin: 'third-party',
      source: 'verdaccio',
      keyId: key.keyId,
    });
    await fetchIntoStore(store, source, versions[0]!);
    expect(store.catalogue.get('greeter')!.channels.latest).toBe('1.1.0');
  });

  it('finds plugins by words', async () => {
    await publish({ id: 'weather', packageJson: { description: 'Forecasts of rain' } });
    expect(await sourceOf().search('weather')).toContainEqual(
      expect.objectContaining({ name: 'atoll-plugin-weather', version: '1.0.0' }),
    );
    expect(await sourceOf().search('there-is-no-such-plugin')).toEqual([]);
  });

  it('refuses the same version again', async () => {
    await publish({ id: 'once' });
    expect(await codeOf(publish({ id: 'once', files: { 'README.md': 'other' } }))).toBe('VERSION_EXISTS');
  });

  it('has nothing for a name it does not know', async () => {
    expect(await sourceOf().versions('no-such-package')).toEqual([]);
    expect(await sourceOf().versions('../../etc/passwd')).toEqual([]);
  });

  it('gives private packages only with a token', async () => {
    const token = await verdaccio.addUser('ada');
    await publish({ id: 'secret', name: '@private/secret' }, sourceOf(token));
    expect(await codeOf(publish({ id: 'secret', name: '@private/secret', version: '1.1.0' }))).toBe('SOURCE_DENIED');
    expect(await codeOf(sourceOf().versions('@private/secret'))).toBe('SOURCE_DENIED');
    const [offered] = await sourceOf(token).versions('@private/secret');
    expect(await codeOf(sourceOf().fetch(offered!))).toBe('SOURCE_DENIED');
    expect(await codeOf(sourceOf(token).fetch(offered!))).toBe('done');
  });

  it('feeds the resolution with what is not in the store yet', async () => {
    await publish({ id: 'base', atoll: { provides: { things: '1.0.0' } } });
    await publish({ id: 'user', atoll: { consumes: { things: '^1.0.0' } } });
    const source = sourceOf();
    const offered = [...(await source.versions('atoll-plugin-base')), ...(await source.versions('atoll-plugin-user'))];
    const plan = resolve({
      kernel: '1.0.0',
      candidates: offered.map((one) => offeredCandidate(one, source.name)),
      install: { user: '*' },
    });
    expect(plan.steps).toMatchObject([
      { id: 'base', source: 'verdaccio' },
      { id: 'user', source: 'verdaccio' },
    ]);
  });

  it('takes the package from npm itself, and npm installs it without running anything', async () => {
    const { bytes } = await packed({ id: 'by-npm' });
    const dir = await mkdtemp(path.join(root, 'npm-'));
    await writeFile(path.join(dir, 'by-npm.tgz'), bytes);
    await writeFile(path.join(dir, '.npmrc'), `registry=${verdaccio.url}\n${verdaccio.url.slice(5)}:_authToken=none\n`);
    await writeFile(path.join(dir, 'package.json'), '{"name":"empty","version":"1.0.0","private":true}');
    const env = { PATH: process.env.PATH, HOME: dir };
    const npm = (...args: string[]) => promisify(execFile)('npm', args, { cwd: dir, env });
    await npm('publish', './by-npm.tgz', '--tag', 'latest');
    const [offered] = await sourceOf().versions('atoll-plugin-by-npm');
    expect((await sourceOf().fetch(offered!)).equals(bytes)).toBe(true);
    await npm('install', 'atoll-plugin-by-npm', '--no-audit', '--no-fund');
    const { stdout } = await npm('ls', '--all', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ dependencies: { 'atoll-plugin-by-npm': { version: '1.0.0' } } });
  }, 60_000);
});

describe('a source that is not to be believed', () => {
  let server: Server | undefined;
  afterEach(async () => {
    server?.closeAllConnections();
    server?.close();
    server = undefined;
  });

  /** A registry that has one package, with what it says of it changed. */
  async function lyingSource(
    change: (version: Record<string, unknown>, dist: Record<string, unknown>) => void,
    bytes: Buffer,
  ): Promise<NpmSource> {
    const read = await readPackage(bytes);
    server = createServer((request, response) => {
      if (request.url!.endsWith('.tgz')) return void response.end(bytes);
      const dist: Record<string, unknown> = {
        integrity: read.integrity,
        tarball: `http://${request.headers.host}/x.tgz`,
      };
      const version: Record<string, unknown> = { ...structuredClone(read.packageJson), dist };
      change(version, dist);
      response.end(JSON.stringify({ versions: { [String(version.version)]: version } }));
    });
    return served(server);
  }

  async function served(started: Server, options: object = {}): Promise<NpmSource> {
    await once(started.listen(0, '127.0.0.1'), 'listening');
    const registry = `http://127.0.0.1:${(started.address() as AddressInfo).port}/`;
    return new NpmSource({ name: 'liar', registry, retries: 0, timeoutMs: 5000, ...options });
  }

  const fetchFrom = async (source: NpmSource) => {
    const [offered] = await source.versions('atoll-plugin-sample');
    return offered ? codeOf(fetchIntoStore(await openStore(), source, offered)) : 'not offered';
  };

  it.each<[string, (version: Record<string, unknown>, dist: Record<string, unknown>) => void, string]>([
    ['the truth', () => {}, 'done'],
    ['another version', (version) => (version.version = '9.0.0'), 'PACKAGE_MISMATCH'],
    ['an older version', (version) => (version.version = '0.5.0'), 'PACKAGE_MISMATCH'],
    [
      'fewer permissions',
      (version) => (version.atoll = { ...(version.atoll as object), permissions: {} }),
      'PACKAGE_MISMATCH',
    ],
    ['another id', (version) => (version.atoll = { ...(version.atoll as object), id: 'other' }), 'PACKAGE_MISMATCH'],
    ['another name', (version) => (version.name = 'other'), 'not offered'],
    ['another hash', (_, dist) => (dist.integrity = `sha512-${'A'.repeat(86)}==`), 'PACKAGE_ALTERED'],
    ['no hash', (_, dist) => delete dist.integrity, 'not offered'],
    ['a weak hash', (_, dist) => (dist.integrity = 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk='), 'not offered'],
    ['no manifest', (version) => delete version.atoll, 'not offered'],
    ['another kind of package', (version) => delete version.atollPackage, 'not offered'],
  ])('says %s', async (_, change, expected) => {
    const { bytes } = await packed({ id: 'sample', atoll: { permissions: { net: ['https://x.com'] } } });
    expect(await fetchFrom(await lyingSource(change, bytes))).toBe(expected);
  });

  it('sends a tarball without an end', async () => {
    const { bytes } = await packed({ id: 'sample' });
    const honest = await lyingSource(() => {}, bytes);
    const [offered] = await honest.versions('atoll-plugin-sample');
    server!.close();
    server = createServer((_, response) => {
      const chunk = Buffer.alloc(65_536);
      const more = () => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', more);
      more();
    });
    const endless = await served(server);
    expect(await codeOf(endless.fetch({ ...offered!, tarball: 'x.tgz' }))).toBe('PACKAGE_TOO_LARGE');
  });

  it.each<[string, number, string, string]>([
    ['no JSON', 200, '<html>', 'SOURCE_BAD_ANSWER'],
    ['other JSON', 200, '{"versions":{"1.0.0":7}}', 'SOURCE_BAD_ANSWER'],
    ['an error of its own', 500, '{}', 'SOURCE_BAD_ANSWER'],
    ['a refusal', 403, '{}', 'SOURCE_DENIED'],
  ])('answers with %s', async (_, status, body, code) => {
    server = createServer((_request, response) => void response.writeHead(status).end(body));
    expect(await codeOf((await served(server)).versions('x'))).toBe(code);
  });

  it('does not answer, or is not there', async () => {
    server = createServer(() => {});
    expect(await codeOf((await served(server, { timeoutMs: 200 })).versions('x'))).toBe('SOURCE_UNREACHABLE');
    const { port } = server.address() as AddressInfo;
    server.closeAllConnections();
    server.close();
    const gone = new NpmSource({ name: 'gone', registry: `http://127.0.0.1:${port}`, retries: 0 });
    expect(await codeOf(gone.versions('x'))).toBe('SOURCE_UNREACHABLE');
    expect(() => new NpmSource({ name: 'bad', registry: 'file:///etc' })).toThrow('no http(s) URL');
  });
});
