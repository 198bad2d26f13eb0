import { createHash } from 'node:crypto';
import { AtollError, type JsonSchema } from '@atoll/plugin-sdk/contract';
import { type SortType, sortKey } from './field.js';
import { sortTypes } from './spec.js';
import type { Sql } from './sql.js';

type Direction = 'asc' | 'desc';

interface SortTerm {
  expression: string;
  type: SortType;
  direction: Direction;
}

const MAX_FIELDS = 4;

/**
 * The order of a query and where a page of it begins. Keys are never NULL and end with the id, so the order is total and a page
 * begins behind exactly one document.
 */
export class Order {
  private constructor(
    private readonly terms: readonly SortTerm[],
    /** Of the query that a cursor belongs to. */
    private readonly fingerprint: string,
  ) {}

  /** `orderBy` is a field, `{ field: 'asc' | 'desc' }`, or a list of these. Throws VALIDATION_FAILED. */
  static of(orderBy: unknown, where: unknown, schema: JsonSchema | undefined): Order {
    const fields = parse(orderBy);
    const terms = fields.flatMap(([field, direction]) =>
      sortTypes(schema, field).map((type): SortTerm => ({ expression: sortKey(field, type), type, direction })),
    );
    // Behind the id nothing decides any more.
    const id: SortTerm = { expression: 'id', type: 'string', direction: terms.at(-1)?.direction ?? 'asc' };
    const fingerprint = createHash('sha256')
      .update(JSON.stringify([fields, where ?? null]))
      .digest('base64url')
      .slice(0, 12);
    return new Order(fields.some(([field]) => field === 'id') ? terms : [...terms, id], fingerprint);
  }

  /** For ORDER BY. */
  get sql(): string {
    return this.terms.map(({ expression, direction }) => `${expression} ${direction}`).join(', ');
  }

  /** The keys of a document, as one array of texts; the id alone needs none. */
  get keys(): string {
    if (this.terms.length === 1 && this.terms[0]!.expression === 'id') return 'null::text[]';
    return `array[${this.terms.map(({ expression, type }) => (type === 'number' ? `(${expression})::text` : expression)).join(', ')}]`;
  }

  /** Of the page that ends with this document. */
  cursor(keys: readonly string[] | null, id: string): string {
    return Buffer.from(JSON.stringify([this.fingerprint, ...(keys ?? [id])])).toString('base64url');
  }

  /** The condition of being behind the document that a cursor names. */
  after(cursor: string, sql: Sql): string {
    const values = this.#parse(cursor);
    const parameters = this.terms.map(
      ({ type }, at) => `${sql.value(values[at])}::${type === 'number' ? 'float8' : 'text collate "C"'}`,
    );
    const expressions = this.terms.map(({ expression }) => expression);
    const directions = new Set(this.terms.map(({ direction }) => direction));
    // A comparison of rows can use an index; it knows one direction only.
    if (directions.size === 1) {
      const operator = directions.has('asc') ? '>' : '<';
      return `(${expressions.join(', ')}) ${operator} (${parameters.join(', ')})`;
    }
    const alternatives = this.terms.map(({ direction }, at) => {
      const same = expressions.slice(0, at).map((expression, before) => `${expression} = ${parameters[before]}`);
      return `(${[...same, `${expressions[at]} ${direction === 'asc' ? '>' : '<'} ${parameters[at]}`].join(' and ')})`;
    });
    return `(${alternatives.join(' or ')})`;
  }

  #parse(cursor: string): string[] {
    let parsed: unknown;
    try {
      parsed = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    } catch {
      parsed = undefined;
    }
    const parts: unknown[] = Array.isArray(parsed) ? parsed : [];
    const [fingerprint, ...keys] = parts.filter((part) => typeof part === 'string' && !part.includes('\0')) as string[];
    const valid =
      fingerprint === this.fingerprint &&
      keys.length === this.terms.length &&
      this.terms.every(({ type }, at) => type === 'string' || !Number.isNaN(Number(keys[at])));
    if (!valid)
      throw new AtollError('VALIDATION_FAILED', 'The cursor does not belong to this query; begin without one.');
    return keys;
  }
}

function parse(orderBy: unknown): [field: string, direction: Direction][] {
  if (orderBy === undefined) return [];
  const fields = (Array.isArray(orderBy) ? orderBy : [orderBy]).flatMap((one: unknown): [string, Direction][] => {
    if (typeof one === 'string') return [[one, 'asc']];
    if (typeof one !== 'object' || one === null) throw invalid();
    return Object.entries(one).map(([field, direction]) => {
      if (direction !== 'asc' && direction !== 'desc') throw invalid();
      return [field, direction];
    });
  });
  if (fields.length > MAX_FIELDS)
    throw new AtollError('VALIDATION_FAILED', `\`orderBy\` takes at most ${MAX_FIELDS} fields.`);
  return fields;
}

function invalid(): AtollError {
  return new AtollError('VALIDATION_FAILED', "`orderBy` is a field, `{ field: 'asc' | 'desc' }`, or a list of these.");
}
