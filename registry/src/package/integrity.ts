import { AtollError } from '@atoll/plugin-sdk/contract';
import ssri from 'ssri';

/** The SHA-512 of bytes as npm writes it: `sha512-` and base64. */
export const integrityOf = (bytes: Uint8Array): string =>
  ssri.fromData(Buffer.from(bytes), { algorithms: ['sha512'] }).toString();

/** Whether bytes have this integrity. Weak algorithms (SHA-1, MD5) prove nothing and count as another content. */
export function hasIntegrity(bytes: Uint8Array, integrity: string): boolean {
  const strong = ssri.parse(integrity, { single: false })?.sha512;
  return (strong ?? []).some((hash) => hash.toString() === integrityOf(bytes));
}

/** Lower case hex of an integrity as `integrityOf` gives it: a name for files. */
export function hexOf(integrity: string): string {
  const hex = Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex');
  if (hex.length !== 128)
    throw new AtollError('PACKAGE_INVALID', `${JSON.stringify(integrity)} is no SHA-512 integrity.`);
  return hex;
}
