import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { PluginBundle } from '../bundle.js';
import { whyUnreadable } from '../regular-file.js';
import { ENVELOPE_FILE, openStatement } from './envelope.js';
import { integrityOf } from './integrity.js';
import { BUNDLE_FILE, MAP_FILE } from './layout.js';
import { PACKAGE_LIMITS } from './limits.js';

const FILES = ['package.json', BUNDLE_FILE, MAP_FILE];

/**
 * The bundle of an unpacked package, as it was packed. Throws PACKAGE_ALTERED when a file is not what the package's
 * statement says, and PACKAGE_INVALID or SIGNATURE_INVALID for the statement itself.
 */
export async function readPackedBundle(dir: string): Promise<PluginBundle> {
  const { statement } = openStatement(await readPart(dir, ENVELOPE_FILE));
  const [, code, map] = await Promise.all(
    FILES.map(async (file) => {
      const content = await readPart(dir, file);
      if (integrityOf(content) === statement.files[file]) return content;
      throw new AtollError('PACKAGE_ALTERED', `${path.join(dir, file)} is not what its publisher put in.`);
    }),
  );
  if (code!.length > PACKAGE_LIMITS.bundleBytes) {
    throw new AtollError('PACKAGE_TOO_LARGE', `${path.join(dir, BUNDLE_FILE)} has ${code!.length} bytes.`);
  }
  return {
    code: code!.toString('utf8'),
    map: map!.toString('utf8'),
    hash: createHash('sha256').update(code!).digest('hex'),
    bytes: code!.length,
    inputs: [ENVELOPE_FILE, ...FILES].map((file) => path.join(dir, file)),
    contents: [],
  };
}

/** The folder may be anybody's: a package.json says that it is an unpacked package, and the rest may be pipes and devices. */
async function readPart(dir: string, file: string): Promise<Buffer> {
  const full = path.join(dir, file);
  const damaged = (why: string) => new AtollError('PACKAGE_DAMAGED', `${full} can't be read: ${why}.`);
  try {
    const why = await whyUnreadable(full, PACKAGE_LIMITS.unpackedBytes);
    if (why !== undefined) throw damaged(`it ${why}`);
    return await readFile(full);
  } catch (error) {
    throw error instanceof AtollError ? error : damaged((error as Error).message);
  }
}
