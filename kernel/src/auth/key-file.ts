import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
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

async function makeKey(dataDir: string, file: string): Promise<KeyFile> {
  const key = `atoll_${randomBytes(32).toString('base64url')}`;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  // Of two processes that start at once only one makes the key.
  await writeFile(file, `${key}\n`, { mode: MODE, flag: 'wx' });
  return { key, file, generated: true };
}
