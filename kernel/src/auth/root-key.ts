import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';

export interface RootKey {
  key: string;
  /** Where it is kept; absent when it came from the configuration. */
  file?: string;
  /** It was made just now. */
  generated: boolean;
}

const MODE = 0o600;

/** The configured root key, or the one in the data directory, which is made at the first start (mode 0600). */
export async function loadRootKey(dataDir: string, configured: string | undefined): Promise<RootKey> {
  if (configured !== undefined) return { key: configured, generated: false };
  const file = path.join(dataDir, 'root.key');
  try {
    return (await readKey(file)) ?? (await makeKey(dataDir, file));
  } catch (error) {
    // A key that is there and can't be read is never replaced: clients hold it.
    throw new AtollError('CONFIG_INVALID', `The root key ${file} can't be used: ${(error as Error).message}`);
  }
}

async function readKey(file: string): Promise<RootKey | undefined> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const key = text.trim();
  if (key === '') throw new AtollError('CONFIG_INVALID', 'it is empty; delete it to have a new one made.');
  // It may have been copied or unpacked with wider rights.
  await chmod(file, MODE);
  return { key, file, generated: false };
}

async function makeKey(dataDir: string, file: string): Promise<RootKey> {
  const key = `atoll_${randomBytes(32).toString('base64url')}`;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  // Of two processes that start at once only one makes the key.
  await writeFile(file, `${key}\n`, { mode: MODE, flag: 'wx' });
  return { key, file, generated: true };
}
