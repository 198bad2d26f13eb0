import { Type } from 'typebox';

export interface Page {
  limit: number;
  cursor?: string | undefined;
}

export interface Listed<T> {
  items: T[];
  nextCursor?: string;
}

/** The query of lists. */
export const PageQuery = {
  limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
  cursor: Type.Optional(Type.String({ maxLength: 200 })),
};

export const listOf = (item: object) =>
  Type.Object({ items: Type.Array(Type.Unsafe(item)), nextCursor: Type.Optional(Type.String()) });

/** A page out of rows that were asked for with one more than the limit; the cursor is the last id. */
export function toPage<R extends { id: string }, T>(rows: R[], { limit }: Page, view: (row: R) => T): Listed<T> {
  const shown = rows.slice(0, limit);
  return { items: shown.map(view), ...(rows.length > limit && { nextCursor: shown.at(-1)!.id }) };
}
