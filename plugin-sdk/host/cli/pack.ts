import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import type { Run } from './command.js';
import { keepKey, packFolder, type SigningFlags, withSigning } from './signed-package.js';

interface PackFlags extends SigningFlags {
  out?: string;
}

/** `atoll pack`: a plugin's folder as one signed tarball. */
export function packCommand(program: Command, run: Run): void {
  withSigning(
    program
      .command('pack <folder>')
      .description('make a signed package of a plugin')
      .option('--out <file>', 'the tarball to write (default: <id>-<version>.tgz here)'),
  ).action((folder: string, flags: PackFlags) =>
    run(async (out) => {
      const packed = await out.step(`Packing ${folder}`, () => pack(folder, flags));
      const { bytes, files, ...rest } = packed;
      out.result({ ...rest, size: bytes.length, files }, summary(packed));
    }),
  );
}

async function pack(folder: string, flags: PackFlags) {
  const packed = await packFolder(folder, flags);
  const file = path.resolve(flags.out ?? `${packed.id}-${packed.version}.tgz`);
  await writeWhole(file, packed.bytes);
  return { ...packed, file };
}

/** A watched folder must not see half a file. */
async function writeWhole(file: string, bytes: Buffer): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  const draft = path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}`);
  try {
    await using handle = await open(draft, 'w');
    await handle.writeFile(bytes);
    await handle.sync();
    await rename(draft, file);
  } finally {
    await rm(draft, { force: true });
  }
}

function summary({ id, version, file, bytes, integrity, keyId, newKey }: Awaited<ReturnType<typeof pack>>): string {
  const lines = [
    `${id}@${version}: ${bytes.length} bytes`,
    file,
    integrity,
    keyId ? `signed by ${keyId}` : 'not signed',
  ];
  if (newKey) lines.push(keepKey(newKey));
  return lines.join('\n');
}
