import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';

export interface KeyFile {
  key: string;
  file: string;
  /** It was made just now. */
  generated: boolean;
}

const MODE = 0o600;

/** A random key in a file of the data directory that only its owner can read; made when it is not there. `what` is for messages. */
export async function loadKeyFile(dataDir: string, name: string, what: string): Promise<KeyFile> {
  const file = path.join(dataDir, name);
  try {
    return (await readKey(file)) ?? (await makeKey(dataDir, file));
  } catch (error) {
    // A key that is there and can't be read is never replaced: something was made with it.
    throw new AtollError('CONFIG_INVALID', `The ${what} ${file} can't be used: ${(error as Error).message}`);
  }
}

/** The key in such a file, if there is one. */
export async function readKeyFile(dataDir: string, name: string, what: string): Promise<string | undefined> {
  const file = path.join(dataDir, name);
  try {
    return (await readKey(file))?.key;
  } catch (error) {
    throw new AtollError('CONFIG_INVALID', `The ${what} ${file} can't be used: ${(error as Error).message}`);
  }
}

/** Puts a new key into a file; the old one is in the other file before that. Whenever it is interrupted, no key is lost. */
export async function renewKeyFile(dataDir: string, name: string, previousName: string): Promise<string> {
  const { key: old } = await loadKeyFile(dataDir, name, 'key');
  const key = newKey();
  await writeWhole(path.join(dataDir, previousName), old);
  await writeWhole(path.join(dataDir, name), key);
  return key;
}

async function writeWhole(file: string, key: string): Promise<void> {
  const draft = `${file}.new`;
  const handle = await open(draft, 'w', MODE);
  try {
    await handle.writeFile(`${key}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, file);
}

async function readKey(file: string): Promise<KeyFile | undefined> {
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

const newKey = (): string => `atoll_${randomBytes(32).toString('base64url')}`;

async function makeKey(dataDir: string, file: string): Promise<KeyFile> {
  const key = newKey();
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  // Of two processes that start at once only one makes the key.
  await writeFile(file, `${key}\n`, { mode: MODE, flag: 'wx' });
  return { key, file, generated: true };
}
