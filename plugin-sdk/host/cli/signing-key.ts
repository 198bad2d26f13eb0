import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { generateSigningKey, readSigningKey, type SigningKey } from '@atoll/registry';
import { CliError, EXIT } from './errors.js';
import { userFile } from './user-folder.js';

/** Where a publisher's key lies: `--signing-key`, ATOLL_SIGNING_KEY, or the user's configuration folder. */
export function signingKeyFile(given: string | undefined): string {
  return path.resolve(given ?? process.env.ATOLL_SIGNING_KEY ?? userFile('publisher.key'));
}

/** Throws KEY_UNUSABLE, or a CliError when there is no such file. */
export function loadSigningKey(file: string): SigningKey {
  if (existsSync(file)) return readSigningKey(readFileSync(file, 'utf8'), file);
  const hint = 'Make one with `atoll keys create`, or name another with --signing-key.';
  throw new CliError(`${file} does not exist.`, EXIT.FAILURE, { hint });
}

/** Writes a new key that only its owner can read. Refuses to replace one: what it signed could never be continued. */
export function createSigningKey(file: string): SigningKey {
  const pem = generateSigningKey();
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  try {
    writeFileSync(file, pem, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const hint = 'Keep it, or name another file with --signing-key.';
    throw new CliError(`${file} exists already.`, EXIT.FAILURE, { hint });
  }
  return readSigningKey(pem);
}
