import { randomBytes } from 'node:crypto';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { type MasterKey, openWith, sealWith } from '../auth/index.js';

/** A value under a key of its own, and that key under the master key. */
export interface Envelope {
  wrappedKey: string;
  sealed: string;
}

/** Which version of which secret. The id is another one when a secret of that name is made again. */
export interface VersionPlace {
  id: string;
  name: string;
  version: number;
}

export const WRAP_USE = 'data keys of secrets';
const KEY_BYTES = 32;

/** The same text as in the database's queries; see rewrap.ts. */
export const placeOf = ({ id, version, name }: VersionPlace): string => `${id}/${version}/${name}`;

export function seal(master: MasterKey, at: VersionPlace, value: string): Envelope {
  const place = placeOf(at);
  const dataKey = randomBytes(KEY_BYTES);
  const wrappedKey = master.seal(WRAP_USE, place, dataKey.toString('base64url'));
  return { wrappedKey, sealed: sealWith(dataKey, place, Buffer.from(value)) };
}

/** Throws MASTER_KEY_WRONG, also for what was altered or moved. */
export function open(master: MasterKey, at: VersionPlace, { wrappedKey, sealed }: Envelope): string {
  const place = placeOf(at);
  const dataKey = Buffer.from(master.open(WRAP_USE, place, wrappedKey), 'base64url');
  const value = openWith(dataKey, place, sealed);
  if (!value) throw new AtollError('MASTER_KEY_WRONG', `The secret "${at.name}" was altered in the database.`);
  return value.toString('utf8');
}
