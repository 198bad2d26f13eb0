import { readFile, stat } from 'node:fs/promises';
import { PACKAGE_LIMITS, type PluginPackage, readPackage, readPublicKey } from '@atoll/registry';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Command } from 'commander';
import type { Run } from './command.js';
import { CliError, EXIT } from './errors.js';

interface VerifyFlags {
  publicKey?: string;
  integrity?: string;
}

/** `atoll verify`: whether a tarball is whole and what its publisher packed. */
export function verifyCommand(program: Command, run: Run): void {
  program
    .command('verify <file>')
    .description('check a package: its hashes, its signature and what it asks for')
    .option('--public-key <key or file>', 'it must be signed with this key')
    .option('--integrity <sri>', 'the tarball must have this SHA-512')
    .action((file: string, flags: VerifyFlags) =>
      run(async (out) => {
        const read = await verify(file, flags);
        const { manifest, integrity, size, unpackedSize, signer } = read;
        const { id, name, version, permissions } = manifest;
        const facts = { id, name, version, integrity, size, unpackedSize, signer: signer?.keyId ?? null, permissions };
        out.result({ ...facts, files: [...read.files.keys()] }, summary(read));
      }),
    );
}

async function verify(file: string, flags: VerifyFlags): Promise<PluginPackage> {
  const read = await readPackage(await readTarballFile(file), {
    expected: { ...(flags.integrity !== undefined && { integrity: flags.integrity }) },
  });
  if (flags.publicKey === undefined) return read;
  const publicKey = await readKey(flags.publicKey);
  if (!read.signer) throw new AtollError('SIGNATURE_MISSING', `${file} is not signed.`);
  if (read.signer.publicKey !== publicKey) {
    throw new AtollError('KEY_UNTRUSTED', `${file} is signed by ${read.signer.keyId}, which is another key.`);
  }
  return read;
}

/** The bytes of a tarball; a file that is far too large is not even read. */
export async function readTarballFile(file: string): Promise<Buffer> {
  const info = await stat(file).catch(() => undefined);
  if (!info?.isFile()) throw new CliError(`${file} is no file.`, EXIT.FAILURE, { hint: 'Name a .tgz file.' });
  if (info.size > PACKAGE_LIMITS.tarballBytes) {
    throw new AtollError(
      'PACKAGE_TOO_LARGE',
      `${file} has ${info.size} bytes; at most ${PACKAGE_LIMITS.tarballBytes} are allowed.`,
    );
  }
  return readFile(file);
}

/** A key as text, or in a file. */
export async function readKey(given: string): Promise<string> {
  const text = await readFile(given, 'utf8').catch(() => undefined);
  return readPublicKey(text ?? given, text === undefined ? 'The key' : given);
}

function summary({ manifest: { id, version }, size, integrity, signer }: PluginPackage): string {
  const signed = signer ? `signed by ${signer.keyId}` : 'not signed: nothing proves who made it';
  return `${id}@${version} is whole: ${size} bytes\n${integrity}\n${signed}`;
}
