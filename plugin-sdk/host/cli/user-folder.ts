import { homedir } from 'node:os';
import path from 'node:path';

/** A file in the user's own configuration folder, where keys and logins lie. */
export const userFile = (name: string): string =>
  path.join(process.env.XDG_CONFIG_HOME || path.join(homedir(), '.config'), 'atoll', name);
