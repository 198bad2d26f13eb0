import type { PluginManifest } from '../manifest.js';
import type { PluginPackage } from '../package/read-package.js';

/** What a package says about itself, as the catalogue shows it. */
export interface PackageFacts {
  manifest: PluginManifest;
  description?: string;
  keywords: readonly string[];
  license?: string;
  homepage?: string;
  readme?: string;
  /** Bytes of the tarball and of the files in it. */
  size: number;
  unpackedSize: number;
  signer?: { keyId: string; publicKey: string };
}

const MAX_KEYWORDS = 50;
const optional = (key: string, value: unknown) => (typeof value === 'string' && value !== '' ? { [key]: value } : {});

export function factsOf(read: PluginPackage): PackageFacts {
  const { manifest, packageJson, size, unpackedSize, signer } = read;
  const { keywords } = packageJson;
  const words = Array.isArray(keywords)
    ? keywords.filter((word) => typeof word === 'string').slice(0, MAX_KEYWORDS)
    : [];
  return {
    manifest,
    keywords: words,
    size,
    unpackedSize,
    ...optional('description', manifest.description ?? packageJson.description),
    ...optional('license', packageJson.license),
    ...optional('homepage', packageJson.homepage),
    ...optional('readme', read.readme),
    ...(signer && { signer }),
  };
}
