import { type Static, Type } from '@atoll/plugin-sdk';

/**
 * Building blocks of request bodies. Clients send `null` for "not set", so every option may be null; what a schema
 * cannot say in clear words is checked by the code that reads it.
 */
export const optional = {
  string: Type.Optional(Type.Unsafe<string | null>({ type: ['string', 'null'] })),
  boolean: Type.Optional(Type.Unsafe<boolean | null>({ type: ['boolean', 'null'] })),
  number: (minimum: number, maximum: number) =>
    Type.Optional(Type.Unsafe<number | null>({ type: ['number', 'null'], minimum, maximum })),
  integer: (minimum: number, maximum?: number) =>
    Type.Optional(
      Type.Unsafe<number | null>({ type: ['integer', 'null'], minimum, ...(maximum !== undefined && { maximum }) }),
    ),
  object: Type.Optional(Type.Unsafe<Record<string, unknown> | null>({ type: ['object', 'null'] })),
  stop: Type.Optional(
    Type.Unsafe<string | string[] | null>({
      type: ['string', 'array', 'null'],
      items: { type: 'string' },
      maxItems: 16,
    }),
  ),
  any: Type.Optional(Type.Unknown()),
};

/** Values that say "not set". */
export const isUnset = (value: unknown): value is null | undefined => value === undefined || value === null;

/** What is not set is left out, so that providers see only what was asked. */
export function defined<T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], null | undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => !isUnset(value))) as {
    [K in keyof T]?: Exclude<T[K], null | undefined>;
  };
}

export type { Static };
