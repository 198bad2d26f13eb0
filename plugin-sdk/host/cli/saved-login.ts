import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Static, Type } from 'typebox';
import Value from 'typebox/value';
import { CliError, EXIT } from './errors.js';
import { userFile } from './user-folder.js';

const Login = Type.Object({ server: Type.String({ minLength: 1 }), key: Type.String({ minLength: 1 }) });
export type SavedLogin = Static<typeof Login>;

export const loginFile = (): string => userFile('login.json');

/** The server and the key that `atoll login` has kept. Throws a CliError when the file is damaged. */
export function savedLogin(): SavedLogin | undefined {
  const file = loginFile();
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CliError(`${file} can't be read: ${(error as Error).message}`, EXIT.FAILURE);
  }
  const login = parse(text);
  if (Value.Check(Login, login)) return login;
  throw new CliError(`${file} is damaged.`, EXIT.FAILURE, { hint: '`atoll logout` deletes it; then `atoll login`.' });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Only its owner can read it, from its first byte on, whatever was there before. */
export function saveLogin(login: SavedLogin): void {
  const file = loginFile();
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  rmSync(draft, { force: true });
  writeFileSync(draft, `${JSON.stringify(login, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  renameSync(draft, file);
}

export const forgetLogin = (): void => rmSync(loginFile(), { force: true });
