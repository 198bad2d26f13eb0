import { Type } from 'typebox';

/* What the sections have in common. */

export const closed = { additionalProperties: false };

export const literals = <const T extends string>(...values: T[]) =>
  Type.Union(values.map((value) => Type.Literal(value)));
