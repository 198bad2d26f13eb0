import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { loadKeyFile } from './key-file.js';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What protects the installation's own secrets: every use has a key of its own that is derived from it. */
export class MasterKey {
  readonly #key: string;

  constructor(key: string) {
    this.#key = key;
  }

  /** 32 bytes, always the same for one use. */
  derive(use: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#key, 'atoll', use, 32));
  }

  /** Encrypts a text for one use and one place, so that it can't be moved to another one. */
  seal(use: string, place: string, text: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.derive(use), nonce).setAAD(Buffer.from(place));
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64url');
  }

  /** Throws MASTER_KEY_WRONG. */
  open(use: string, place: string, sealed: string): string {
    const bytes = Buffer.from(sealed, 'base64url');
    try {
      const nonce = bytes.subarray(0, NONCE_BYTES);
      const decipher = createDecipheriv('aes-256-gcm', this.derive(use), nonce).setAAD(Buffer.from(place));
      decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      const text = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES));
      return Buffer.concat([text, decipher.final()]).toString('utf8');
    } catch (error) {
      throw new AtollError('MASTER_KEY_WRONG', 'What is stored was encrypted with another key.', {}, { cause: error });
    }
  }
}

/** The configured master key, or the one in the data directory, which is made at the first start (mode 0600). */
export async function loadMasterKey(dataDir: string, configured: string | undefined): Promise<MasterKey> {
  return new MasterKey(configured ?? (await loadKeyFile(dataDir, 'master.key', 'master key')).key);
}
