import { AtollError } from '@atoll/plugin-sdk/contract';
import semver from 'semver';
import type { PluginPackage } from '../package/read-package.js';
import { type Channel, type IndexDocument, type Origin, own, type PluginEntry } from './index-document.js';
import { assertTrusted, publisherOf, type SignaturePolicy, UNSIGNED_LOCAL } from './trust.js';

export interface PublishOptions {
  /** `third-party` unless it was made on this machine. */
  origin?: Origin;
  /** Name of the source that it came from. */
  source?: string;
  /** Without one: `next` for a pre-release, else `latest`. */
  channel?: Channel;
  /** Allows a version older than the newest of its channel. */
  backport?: boolean;
}

export interface Admitted {
  /** `present` when the very same package was published before. */
  outcome: 'added' | 'present';
  id: string;
  version: string;
}

const channelOf = (version: string): Channel => (semver.prerelease(version) ? 'next' : 'latest');

/**
 * Puts a package into the index, or says why not. Throws KEY_REVOKED, KEY_UNTRUSTED, SIGNATURE_MISSING, PACKAGE_RENAMED,
 * PUBLISHER_MISMATCH, VERSION_EXISTS or PACKAGE_DOWNGRADE; the index is unchanged then.
 */
export function admit(
  index: IndexDocument,
  read: PluginPackage,
  { policy, at, ...options }: PublishOptions & { policy: SignaturePolicy; at: string },
): Admitted {
  const { origin = 'third-party', source } = options;
  const { id, version } = read.manifest;
  assertTrusted(index, read.signer, origin, policy);
  assertName(index, read);
  const publisher = publisherOf(index, read.signer, origin, source);
  const known = own(index.plugins, id);
  if (known) assertPublisher(known, publisher, read, origin);
  if (known && isPresent(known, read)) return { outcome: 'present', id, version };
  const channel = options.channel ?? channelOf(version);
  if (known && !options.backport) assertNewer(known, version, channel, id);
  const entry = known ?? { name: read.manifest.name, publisher, versions: {}, removed: {} };
  index.plugins[id] = entry;
  entry.publisher = publisher;
  delete entry.removed[version];
  entry.versions[version] = {
    integrity: read.integrity,
    ...(read.signer && { keyId: read.signer.keyId }),
    origin,
    ...(source !== undefined && { source }),
    channel,
    publishedAt: at,
  };
  rememberKey(index, read, publisher, at);
  return { outcome: 'added', id, version };
}

function assertName(index: IndexDocument, { manifest: { id, name } }: PluginPackage): void {
  const known = own(index.plugins, id);
  if (known && known.name !== name) {
    throw new AtollError(
      'PACKAGE_RENAMED',
      `The plugin "${id}" is the package ${known.name}; this one is called ${name}.`,
    );
  }
  const other = Object.keys(index.plugins).find((key) => key !== id && index.plugins[key]!.name === name);
  if (other !== undefined) {
    throw new AtollError(
      'PACKAGE_RENAMED',
      `The package ${name} is the plugin "${other}"; this one has the id "${id}".`,
    );
  }
}

function assertPublisher(
  known: PluginEntry,
  publisher: string,
  { manifest: { id }, signer }: PluginPackage,
  origin: Origin,
): void {
  if (known.publisher === publisher) return;
  // Who worked without a key on this machine may begin to sign; nobody else may take the id over that way.
  if (known.publisher === UNSIGNED_LOCAL && origin === 'local') return;
  if (!signer) {
    throw new AtollError(
      'SIGNATURE_MISSING',
      `The plugin "${id}" belongs to ${known.publisher}; this package is not signed.`,
    );
  }
  throw new AtollError(
    'PUBLISHER_MISMATCH',
    `The plugin "${id}" belongs to ${known.publisher}; this package is of ${publisher}.`,
  );
}

function isPresent(known: PluginEntry, { manifest: { id, version }, integrity }: PluginPackage): boolean {
  const before = own(known.versions, version)?.integrity ?? own(known.removed, version);
  if (before !== undefined && before !== integrity) {
    throw new AtollError(
      'VERSION_EXISTS',
      `${id}@${version} was published before with other content (${before.slice(0, 20)}…).`,
    );
  }
  return own(known.versions, version) !== undefined;
}

function assertNewer(known: PluginEntry, version: string, channel: Channel, id: string): void {
  const others = Object.entries(known.versions).filter(([, record]) => record.channel === channel && !record.yanked);
  const newest = others.map(([other]) => other).sort(semver.rcompare)[0];
  if (newest !== undefined && semver.lt(version, newest)) {
    throw new AtollError(
      'PACKAGE_DOWNGRADE',
      `${id}@${version} is older than ${newest}, the newest in the channel "${channel}".`,
    );
  }
}

function rememberKey(index: IndexDocument, { signer }: PluginPackage, publisher: string, at: string): void {
  if (!signer || own(index.keys, signer.keyId)) return;
  index.keys[signer.keyId] = { publicKey: signer.publicKey, publisher, trust: 'first-use', since: at };
}
