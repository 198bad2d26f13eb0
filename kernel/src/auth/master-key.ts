import { hkdfSync } from 'node:crypto';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { loadKeyFile, readKeyFile, renewKeyFile } from './key-file.js';
import { openWith, sealWith } from './sealed.js';

const FILE = 'master.key';
const PREVIOUS_FILE = 'master.previous.key';
const ID_BYTES = 6;

/** One key, with what was derived from it. */
class SingleKey {
  readonly id: string;
  readonly #derived = new Map<string, Buffer>();

  constructor(private readonly key: string) {
    this.id = this.derive('key id').subarray(0, ID_BYTES).toString('hex');
  }

  derive(use: string): Buffer {
    const known = this.#derived.get(use);
    if (known) return known;
    const made = Buffer.from(hkdfSync('sha256', this.key, 'atoll', use, 32));
    this.#derived.set(use, made);
    return made;
  }
}

export interface MasterKeyOptions {
  /** Keys from before; what was made with them is still accepted. */
  previous?: readonly string[];
  /** Makes another key and keeps it where this one is kept; absent for keys that the operator keeps. */
  renew?: () => Promise<string>;
}

/**
 * What protects the installation's own secrets: every use has a key of its own that is derived from it. While it is exchanged there are
 * several: what is new is made with the active one, and what was made with any of them is accepted.
 */
export class MasterKey {
  readonly #keys = new Map<string, SingleKey>();
  #active: SingleKey;
  #configured: string;
  readonly renew: (() => Promise<string>) | undefined;

  constructor(key: string, { previous = [], renew }: MasterKeyOptions = {}) {
    this.#active = this.#add(key);
    this.#configured = this.#active.id;
    for (const other of previous) this.#add(other);
    this.renew = renew;
  }

  /** Of the key that is in use. Tells nothing about the key. */
  get id(): string {
    return this.#active.id;
  }

  /** Of the key that the operator wants to be used. */
  get configured(): string {
    return this.#configured;
  }

  has(id: string): boolean {
    return this.#keys.has(id);
  }

  /** Uses another one of the keys from now on; false when it is not there. */
  activate(id: string): boolean {
    const key = this.#keys.get(id);
    if (key) this.#active = key;
    return key !== undefined;
  }

  /** A new key, as if it had been configured; it is not used yet. */
  configure(key: string): string {
    this.#configured = this.#add(key).id;
    return this.#configured;
  }

  /** 32 bytes, always the same for one use. */
  derive(use: string): Buffer {
    return this.#active.derive(use);
  }

  /** The same out of every key, by the key's id; the active one first. */
  deriveEach(use: string): Map<string, Buffer> {
    return new Map(this.#all().map((key) => [key.id, key.derive(use)]));
  }

  /** Encrypts a text for one use and one place, so that it can't be moved to another one. It begins with the key's id. */
  seal(use: string, place: string, text: string): string {
    return `${this.id}.${sealWith(this.derive(use), place, Buffer.from(text))}`;
  }

  /** Throws MASTER_KEY_WRONG. */
  open(use: string, place: string, sealed: string): string {
    const dot = sealed.indexOf('.');
    const named = this.#keys.get(sealed.slice(0, Math.max(dot, 0)));
    for (const key of named ? [named] : this.#all()) {
      const text = openWith(key.derive(use), place, sealed.slice(dot + 1));
      if (text) return text.toString('utf8');
    }
    throw new AtollError('MASTER_KEY_WRONG', 'What is stored was encrypted with another key.');
  }

  #all(): SingleKey[] {
    return [this.#active, ...[...this.#keys.values()].filter((key) => key !== this.#active)];
  }

  #add(text: string): SingleKey {
    const key = new SingleKey(text);
    this.#keys.set(key.id, this.#keys.get(key.id) ?? key);
    return this.#keys.get(key.id)!;
  }
}

/** The configured master key, or the one in the data directory, which is made at the first start (mode 0600); and those from before. */
export async function loadMasterKey(
  dataDir: string,
  { masterKey, previousMasterKey }: { masterKey?: string; previousMasterKey?: string } = {},
): Promise<MasterKey> {
  const previous = [previousMasterKey, await readKeyFile(dataDir, PREVIOUS_FILE, 'previous master key')];
  // Whoever begins to configure the key has what was made with the generated one.
  if (masterKey !== undefined) previous.push(await readKeyFile(dataDir, FILE, 'master key'));
  const options = { previous: previous.filter((key) => key !== undefined) };
  if (masterKey !== undefined) return new MasterKey(masterKey, options);
  const { key } = await loadKeyFile(dataDir, FILE, 'master key');
  return new MasterKey(key, { ...options, renew: () => renewKeyFile(dataDir, FILE, PREVIOUS_FILE) });
}
