import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Signer } from '../package/envelope.js';
import { keyIdOf } from '../package/publisher-key.js';
import { type IndexDocument, type KeyRecord, type Origin, own, type VersionRecord } from './index-document.js';

/**
 * What third-party packages need: `required`, a signature of a key that an operator trusts; `first-use`, no signature by
 * a key that is revoked, or by another than the one that began the plugin. Local packages always go by `first-use`.
 */
export type SignaturePolicy = 'required' | 'first-use';

export interface TrustedKey {
  publicKey: string;
  publisher?: string;
  /** Trusts a revoked key again. */
  restore?: boolean;
}

/** Whether a publisher can be called so: names that stand for a key or for unsigned packages would lend what those own. */
export const isPublisherName = (name: string): boolean => /^[\p{L}\p{N}][^\p{C}:]{0,99}$/u.test(name);

/** Trusts a key, known or not. Throws KEY_REVOKED, or BAD_REQUEST for the publisher's name. */
export function trustKey(index: IndexDocument, { publicKey, publisher, restore }: TrustedKey, at: string): KeyRecord {
  const keyId = keyIdOf(publicKey);
  const known = own(index.keys, keyId);
  if (known?.trust === 'revoked' && !restore) {
    throw new AtollError(
      'KEY_REVOKED',
      `${keyId} was revoked: ${known.reason}. Repeat with --restore to trust it again.`,
    );
  }
  if (publisher !== undefined && publisher !== keyId && !isPublisherName(publisher)) {
    throw new AtollError(
      'BAD_REQUEST',
      `${JSON.stringify(publisher)} can't be a publisher's name: letters and digits first, and no colon.`,
    );
  }
  const owner = publisher ?? known?.publisher ?? keyId;
  if (known && known.publisher !== owner) renamePublisher(index, known.publisher, owner);
  const record: KeyRecord = { publicKey, publisher: owner, trust: 'explicit', since: known?.since ?? at };
  index.keys[keyId] = record;
  return record;
}

/** A publisher that had no name but its key gets one; one with several keys keeps what it has published. */
function renamePublisher(index: IndexDocument, from: string, to: string): void {
  const keys = Object.values(index.keys).filter(({ publisher }) => publisher === from);
  if (keys.length !== 1) return;
  for (const plugin of Object.values(index.plugins)) if (plugin.publisher === from) plugin.publisher = to;
}

/** From now on nothing that the key signed is given out. Throws KEY_NOT_FOUND. */
export function revokeKey(index: IndexDocument, keyId: string, reason: string): void {
  const known = own(index.keys, keyId);
  if (!known) throw new AtollError('KEY_NOT_FOUND', `No key ${keyId} is known.`);
  index.keys[keyId] = { ...known, trust: 'revoked', reason };
}

/** Refuses a package by who signed it. Throws KEY_REVOKED, SIGNATURE_MISSING or KEY_UNTRUSTED. */
export function assertTrusted(
  index: IndexDocument,
  signer: Signer | undefined,
  origin: Origin,
  policy: SignaturePolicy,
): void {
  const reason = distrust(index, signer?.keyId, origin, policy);
  if (reason) throw new AtollError(reason.code, reason.detail);
}

interface Distrust {
  code: 'KEY_REVOKED' | 'SIGNATURE_MISSING' | 'KEY_UNTRUSTED';
  detail: string;
}

function distrust(
  index: IndexDocument,
  keyId: string | undefined,
  origin: Origin,
  policy: SignaturePolicy,
): Distrust | undefined {
  const strict = origin === 'third-party' && policy === 'required';
  if (keyId === undefined) {
    const detail = 'The package is not signed, and this server takes packages of others only with a signature.';
    return strict ? { code: 'SIGNATURE_MISSING', detail } : undefined;
  }
  const key = own(index.keys, keyId);
  if (key?.trust === 'revoked') return { code: 'KEY_REVOKED', detail: `The key ${keyId} was revoked: ${key.reason}.` };
  if (key?.trust === 'unconfirmed') {
    const detail = `The key ${keyId} was known before the index of the store was lost; an operator has to confirm it.`;
    return { code: 'KEY_UNTRUSTED', detail };
  }
  if (strict && key?.trust !== 'explicit') {
    return { code: 'KEY_UNTRUSTED', detail: `No operator of this server has trusted the key ${keyId}.` };
  }
  return undefined;
}

/** Why a version that is in the store must not be given out; undefined when it may. */
export function quarantineReason(
  index: IndexDocument,
  { keyId, origin }: VersionRecord,
  policy: SignaturePolicy,
): string | undefined {
  return distrust(index, keyId, origin, policy)?.detail;
}

/** Who publishes a package. Packages without a signature can only be told apart by where they come from. */
export function publisherOf(
  index: IndexDocument,
  signer: Signer | undefined,
  origin: Origin,
  source: string | undefined,
): string {
  if (signer) return own(index.keys, signer.keyId)?.publisher ?? signer.keyId;
  return origin === 'local' ? UNSIGNED_LOCAL : `unsigned:${source ?? 'unknown'}`;
}

export const UNSIGNED_LOCAL = 'unsigned:local';
