import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Options } from 'npm-registry-fetch';
import semver from 'semver';
import { isPackageName, parseManifest } from '../manifest.js';
import { hasIntegrity } from '../package/integrity.js';
import { FORMAT, FORMAT_KEY } from '../package/layout.js';
import { PACKAGE_LIMITS, type PackageLimits } from '../package/limits.js';
import type { PluginPackage } from '../package/read-package.js';
import { toSourceError } from './npm-errors.js';
import { Packument, type PackumentVersion, parseAs, SearchAnswer } from './npm-answers.js';
import { publishDocument } from './npm-publish.js';
import type { OfferedPlugin, OfferedVersion, PackageSource } from './package-source.js';

export interface NpmSourceOptions {
  /** How the source is called in plans and in the store. */
  name: string;
  /** Address of the registry, such as `https://registry.npmjs.org` or a Verdaccio. */
  registry: string;
  /** Sent to that registry only. */
  token?: string;
  /** For one request, in ms. */
  timeoutMs?: number;
  retries?: number;
  limits?: PackageLimits;
}

const TIMEOUT_MS = 30_000;
const RETRIES = 2;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const KEYWORD = 'atoll-plugin';
const MAX_FOUND = 250;

/** Any registry that speaks the npm protocol: npmjs, Verdaccio, GitHub Packages and others. */
export class NpmSource implements PackageSource {
  readonly name: string;
  readonly #registry: string;
  readonly #options: Options;
  readonly #limits: PackageLimits;

  constructor({
    name,
    registry,
    token,
    timeoutMs = TIMEOUT_MS,
    retries = RETRIES,
    limits = PACKAGE_LIMITS,
  }: NpmSourceOptions) {
    if (!URL.canParse(registry) || !/^https?:$/.test(new URL(registry).protocol)) {
      throw new AtollError(
        'CONFIG_INVALID',
        `The address of the source "${name}" is no http(s) URL: ${JSON.stringify(registry)}.`,
      );
    }
    this.name = name;
    this.#limits = limits;
    const url = new URL(registry.endsWith('/') ? registry : `${registry}/`);
    this.#registry = url.href;
    this.#options = {
      registry: url.href,
      timeout: timeoutMs,
      retry: { retries, minTimeout: 200, maxTimeout: 2000 },
      headers: { 'user-agent': 'atoll' },
      ...(token !== undefined && { [`//${url.host}${url.pathname}:_authToken`]: token }),
    } as Options;
  }

  /** Throws SOURCE_UNREACHABLE, SOURCE_DENIED or SOURCE_BAD_ANSWER, as all others do. */
  async search(words: string, limit = 20): Promise<OfferedPlugin[]> {
    const found = await this.#find(`keywords:${KEYWORD} ${words}`.trim(), limit);
    // Verdaccio does not know how to look for a keyword: then everything with the words is asked for.
    const all = found.length > 0 ? found : await this.#find(words.trim() || KEYWORD, MAX_FOUND);
    return all.slice(0, limit);
  }

  async versions(name: string): Promise<OfferedVersion[]> {
    if (!isPackageName(name)) return [];
    const answer = await this.#json(encodeURIComponent(name).replace('%40', '@')).catch((error: unknown) => {
      if (error instanceof AtollError && error.code === 'NOT_FOUND') return undefined;
      throw error;
    });
    if (answer === undefined) return [];
    const versions = Object.values(parseAs(Packument, answer, this.name).versions);
    const offered = versions.map((version) => offer(name, version)).filter((one) => one !== undefined);
    return offered.sort((a, b) => semver.rcompare(a.version, b.version));
  }

  /** Throws PACKAGE_ALTERED when the registry gives other bytes than it said, and PACKAGE_TOO_LARGE. */
  async fetch({ name, version, tarball, integrity }: OfferedVersion): Promise<Buffer> {
    const bytes = await this.#bytes(tarball, this.#limits.tarballBytes, `${name}@${version}`);
    if (hasIntegrity(bytes, integrity)) return bytes;
    throw new AtollError(
      'PACKAGE_ALTERED',
      `"${this.name}" gave other bytes for ${name}@${version} than it says it has.`,
    );
  }

  /** Publishes a package there. Throws VERSION_EXISTS when the registry has that version. */
  async publish(tarball: Buffer, read: PluginPackage, tag: 'latest' | 'next' = 'latest'): Promise<void> {
    const { name, version } = read.manifest;
    const body = publishDocument(tarball, read, tag, this.#registry);
    try {
      const { default: fetch } = await import('npm-registry-fetch');
      await fetch(encodeURIComponent(name).replace('%40', '@'), { ...this.#options, method: 'PUT', body } as Options);
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode === 409) {
        throw new AtollError('VERSION_EXISTS', `"${this.name}" has ${name}@${version} already.`);
      }
      throw toSourceError(error, this.name);
    }
  }

  async #find(text: string, size: number): Promise<OfferedPlugin[]> {
    const query = new URLSearchParams({ text, size: String(size) });
    const answer = parseAs(SearchAnswer, await this.#json(`-/v1/search?${query}`), this.name);
    return answer.objects.flatMap(({ package: { name, description, keywords, ...found } }) => {
      const version = found.version ?? found['dist-tags']?.latest;
      if (version === undefined || !keywords?.includes(KEYWORD)) return [];
      return [{ name, version, ...(description !== undefined && { description }) }];
    });
  }

  async #json(path: string): Promise<unknown> {
    const bytes = await this.#bytes(path, MAX_ANSWER_BYTES, 'its answer');
    try {
      return JSON.parse(bytes.toString('utf8'));
    } catch {
      throw new AtollError('SOURCE_BAD_ANSWER', `"${this.name}" answered with something that is not JSON.`);
    }
  }

  async #bytes(target: string, most: number, what: string): Promise<Buffer> {
    try {
      // Loaded when a source is asked: a server without sources does not need it.
      const { default: fetch } = await import('npm-registry-fetch');
      const { body } = await fetch(target, this.#options);
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of body as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > most)
          throw new AtollError('PACKAGE_TOO_LARGE', `${what} from "${this.name}" has more than ${most} bytes.`);
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    } catch (error) {
      throw toSourceError(error, this.name);
    }
  }
}

/** Packages of another kind, or made for another Atoll, are not offered; nor is what has no hash that counts. */
function offer(name: string, found: PackumentVersion): OfferedVersion | undefined {
  const { version, dist, deprecated } = found;
  if (found[FORMAT_KEY] !== FORMAT || !dist.integrity?.includes('sha512-')) return undefined;
  try {
    const manifest = parseManifest(found, name);
    if (manifest.name !== name || manifest.version !== version) return undefined;
    const { integrity, tarball } = dist;
    return {
      name,
      version,
      manifest,
      integrity,
      tarball,
      ...(typeof deprecated === 'string' && deprecated !== '' && { deprecated }),
    };
  } catch {
    return undefined;
  }
}
