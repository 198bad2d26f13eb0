import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto';
import { AtollError } from '@atoll/plugin-sdk/contract';

/** Who signs packages: an Ed25519 key pair. */
export interface SigningKey {
  keyId: string;
  /** Base64 of the DER form (SPKI). */
  publicKey: string;
  /** A signature over these bytes, base64. */
  sign(bytes: Uint8Array): string;
}

/** The name of a key: `ed25519:` and 32 hex digits of the hash of its public part. */
export const keyIdOf = (publicKey: string): string =>
  `ed25519:${createHash('sha256').update(Buffer.from(publicKey, 'base64')).digest('hex').slice(0, 32)}`;

/** A new key as PEM (PKCS #8). */
export const generateSigningKey = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

/** Throws KEY_UNUSABLE for anything but an Ed25519 private key in PEM. */
export function readSigningKey(pem: string, where = 'The key'): SigningKey {
  const key = parse(where, () => createPrivateKey(pem));
  const publicKey = encode(createPublicKey(key));
  return { keyId: keyIdOf(publicKey), publicKey, sign: (bytes) => signBytes(null, bytes, key).toString('base64') };
}

/** The base64 DER form of a public key in PEM or in that form already. Throws KEY_UNUSABLE. */
export function readPublicKey(text: string, where = 'The key'): string {
  const trimmed = text.trim();
  const pem = trimmed.startsWith('-----');
  return encode(parse(where, () => createPublicKey(pem ? trimmed : spki(trimmed))));
}

/** Whether the signature is this key's over these bytes. A key or signature that makes no sense is a false one. */
export function verifySignature(publicKey: string, bytes: Uint8Array, signature: string): boolean {
  try {
    const key = createPublicKey(spki(publicKey));
    return key.asymmetricKeyType === 'ed25519' && verifyBytes(null, bytes, key, Buffer.from(signature, 'base64'));
  } catch {
    return false;
  }
}

const spki = (base64: string) => ({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'spki' }) as const;
const encode = (key: KeyObject): string => key.export({ type: 'spki', format: 'der' }).toString('base64');

function parse(where: string, read: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch (error) {
    throw new AtollError('KEY_UNUSABLE', `${where} can't be read: ${(error as Error).message}.`);
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new AtollError('KEY_UNUSABLE', `${where} is of type ${key.asymmetricKeyType}; Ed25519 is needed.`);
  }
  return key;
}
