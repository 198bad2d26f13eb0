import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { packPlugin, readPluginFolder } from '@atoll/registry';
import type { Command } from 'commander';
import type { Run } from './command.js';
import { createSigningKey, loadSigningKey, signingKeyFile } from './signing-key.js';

interface PackFlags {
  out?: string;
  signingKey?: string;
  sign: boolean;
}

/** `atoll pack`: a plugin's folder as one signed tarball. */
export function packCommand(program: Command, run: Run): void {
  program
    .command('pack <folder>')
    .description('make a signed package of a plugin')
    .option('--out <file>', 'the tarball to write (default: <id>-<version>.tgz here)')
    .option(
      '--signing-key <file>',
      'Ed25519 key in PEM (ATOLL_SIGNING_KEY, else one of your own, made when it is missing)',
    )
    .option('--no-sign', 'leave it unsigned; only for servers that accept that')
    .action((folder: string, flags: PackFlags) =>
      run(async (out) => {
        const packed = await pack(folder, flags);
        const { bytes, files, ...rest } = packed;
        out.result({ ...rest, size: bytes.length, files }, summary(packed));
      }),
    );
}

async function pack(folder: string, flags: PackFlags) {
  const plugin = await readPluginFolder(folder);
  const made = flags.sign ? keyOf(flags) : undefined;
  const packed = await packPlugin(plugin, { ...(made && { key: made.key }) });
  const file = path.resolve(flags.out ?? `${packed.id}-${packed.version}.tgz`);
  await writeWhole(file, packed.bytes);
  return { ...packed, file, ...(made?.created && { newKey: made.file }) };
}

/** A first package should not fail for want of a key; one that was named and is missing is a mistake. */
function keyOf({ signingKey }: PackFlags) {
  const file = signingKeyFile(signingKey);
  const created = !existsSync(file) && signingKey === undefined && process.env.ATOLL_SIGNING_KEY === undefined;
  return { file, created, key: created ? createSigningKey(file) : loadSigningKey(file) };
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
  if (newKey) lines.push(`${newKey} is your new signing key: keep it, and keep it secret.`);
  return lines.join('\n');
}
