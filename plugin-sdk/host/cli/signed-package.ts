import { existsSync } from 'node:fs';
import { type PackedPlugin, packPlugin, readPluginFolder } from '@atoll/registry';
import type { Command } from 'commander';
import { createSigningKey, loadSigningKey, signingKeyFile } from './signing-key.js';

export interface SigningFlags {
  signingKey?: string;
  sign: boolean;
}

export type SignedPackage = PackedPlugin & {
  /** Where the key lies that was made for it. */
  newKey?: string;
};

export const withSigning = (command: Command): Command =>
  command
    .option(
      '--signing-key <file>',
      'Ed25519 key in PEM (ATOLL_SIGNING_KEY, else one of your own, made when it is missing)',
    )
    .option('--no-sign', 'leave it unsigned; only for servers that accept that');

/** A plugin's folder as one tarball, signed unless that is not wanted. */
export async function packFolder(folder: string, flags: SigningFlags): Promise<SignedPackage> {
  const plugin = await readPluginFolder(folder);
  const made = flags.sign ? keyOf(flags) : undefined;
  const packed = await packPlugin(plugin, { ...(made && { key: made.key }) });
  return { ...packed, ...(made?.created && { newKey: made.file }) };
}

/** The key to sign with, made when it is missing; none when that is not wanted. */
export const keyToSign = (flags: SigningFlags) => (flags.sign ? keyOf(flags).key : undefined);

/** A first package should not fail for want of a key; one that was named and is missing is a mistake. */
function keyOf({ signingKey }: SigningFlags) {
  const file = signingKeyFile(signingKey);
  const created = !existsSync(file) && signingKey === undefined && process.env.ATOLL_SIGNING_KEY === undefined;
  return { file, created, key: created ? createSigningKey(file) : loadSigningKey(file) };
}

export const keepKey = (file: string): string => `${file} is your new signing key: keep it, and keep it secret.`;
