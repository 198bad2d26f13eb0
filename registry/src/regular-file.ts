import { readFile, stat } from 'node:fs/promises';

/** Why a file of a plugin is not to be read, in words that go on after its name. Pipes and devices may never end, or never begin. */
export async function whyUnreadable(file: string, maxBytes: number): Promise<string | undefined> {
  const info = await stat(file);
  if (!info.isFile()) return 'is no regular file';
  return info.size > maxBytes ? `has ${info.size} bytes; at most ${maxBytes} are read` : undefined;
}

/** The text of a regular file of limited size; undefined for everything else, also for what does not exist. */
export async function readRegular(file: string, maxBytes: number): Promise<string | undefined> {
  try {
    return (await whyUnreadable(file, maxBytes)) === undefined ? await readFile(file, 'utf8') : undefined;
  } catch {
    return undefined;
  }
}
