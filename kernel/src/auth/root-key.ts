import { loadKeyFile } from './key-file.js';

export interface RootKey {
  key: string;
  /** Where it is kept; absent when it came from the configuration. */
  file?: string;
  /** It was made just now. */
  generated: boolean;
}

/** The configured root key, or the one in the data directory, which is made at the first start (mode 0600). */
export async function loadRootKey(dataDir: string, configured: string | undefined): Promise<RootKey> {
  if (configured !== undefined) return { key: configured, generated: false };
  return loadKeyFile(dataDir, 'root.key', 'root key');
}
