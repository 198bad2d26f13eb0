import { AtollError } from '@atoll/plugin-sdk/contract';
import { literal } from './sql.js';

/** Fields of documents by their paths, as SQL expressions over the column `doc`. Indexes are on exactly these expressions. */
const PATH = /^[A-Za-z_][\w-]{0,99}(\.[A-Za-z_][\w-]{0,99}){0,7}$/;

export type SortType = 'number' | 'string';

/** Larger than any number in JSON, and than any text that means something: where a field is absent, it comes last. */
const AFTER_NUMBERS = `'Infinity'::float8`;
const AFTER_STRINGS = `U&'\\+10FFFF'`;
/** Texts sort by their beginning: an index entry has a bounded size. */
const KEY_LENGTH = 400;

/** Throws VALIDATION_FAILED for what is no field path, such as `title` or `address.city`. */
export function checkPath(path: string): string {
  if (PATH.test(path)) return path;
  throw new AtollError(
    'VALIDATION_FAILED',
    `"${path.slice(0, 100)}" is no field: use names of letters, digits, _ and -, joined by dots.`,
  );
}

/** The field as jsonb; NULL where it is absent. */
export function jsonOf(path: string): string {
  checkPath(path);
  // These two live in columns of their own.
  if (path === 'id' || path === 'version') return `to_jsonb(${path})`;
  const parts = path.split('.');
  return parts.length === 1 ? `(doc -> ${literal(parts[0]!)})` : `(doc #> ${literal(`{${parts.join(',')}}`)})`;
}

/** A key that sorts the field's values of one type, and everything else behind them. Never NULL. */
export function sortKey(path: string, type: SortType): string {
  if (path === 'id') return 'id';
  if (path === 'version') return 'version::float8';
  const json = jsonOf(path);
  return type === 'number'
    ? `coalesce(case when jsonb_typeof(${json}) = 'number' then ${json}::float8 end, ${AFTER_NUMBERS})`
    : `(coalesce(left(${textOf(path)}, ${KEY_LENGTH}), ${AFTER_STRINGS}) collate "C")`;
}

/** The part of a text that is its key. */
export const keyOf = (parameter: string): string => `left(${parameter}, ${KEY_LENGTH})`;

/** The field's text; NULL where it is no text. */
export function textOf(path: string): string {
  if (path === 'id') return 'id';
  const json = jsonOf(path);
  return `((case when jsonb_typeof(${json}) = 'string' then ${json} #>> '{}' end) collate "C")`;
}

/** That the key is of a value of the type. */
export function hasKey(path: string, type: SortType): string {
  if (path === 'id' || path === 'version') return 'true';
  return `${sortKey(path, type)} < ${type === 'number' ? AFTER_NUMBERS : AFTER_STRINGS}`;
}

/** A short stand-in for equality: index entries have a bounded size, values have not. */
export const hashOf = (json: string): string => `jsonb_hash_extended(${json}, 0)`;
