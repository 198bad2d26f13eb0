import { outsideTransaction, sqlState } from '../database/index.js';

interface Waiting<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

interface Group<Item, Result> {
  /** Statements under way. */
  running: number;
  /** What the next statements take. */
  waiting: Waiting<Item, Result>[];
}

/** One is worked on while the next is on its way. */
const STATEMENTS = 2;
/** Of one statement. */
const MAX_ITEMS = 100;

export interface GroupLimit<Item> {
  /** Of one statement. */
  bytes: number;
  bytesOf: (item: Item) => number;
}

/**
 * Calls of one kind for one document each of a collection. Those that come while others are under way go into the next statement
 * together: the way to the database, and a commit, takes about the same time for many as for one. Each is answered for itself. How many
 * can wait is bounded by how many host calls a plugin may have open.
 */
export class GroupedCalls<Item, Result> {
  readonly #groups = new Map<string, Group<Item, Result>>();

  constructor(
    /** Does all or none; the results are in the order of the items. */
    private readonly run: (org: string, items: readonly Item[]) => Promise<readonly Result[]>,
    private readonly limit: GroupLimit<Item>,
  ) {}

  call(org: string, item: Item): Promise<Result> {
    const group = this.#groups.get(org) ?? { running: 0, waiting: [] };
    this.#groups.set(org, group);
    return new Promise((resolve, reject) => {
      group.waiting.push({ item, resolve, reject });
      // A statement is not part of anything that one of its callers may be in.
      if (group.running < STATEMENTS) outsideTransaction(() => void this.#drain(org, group));
    });
  }

  async #drain(org: string, group: Group<Item, Result>): Promise<void> {
    group.running++;
    while (group.waiting.length > 0) await this.#together(org, this.#take(group.waiting));
    group.running--;
    if (group.running === 0) this.#groups.delete(org);
  }

  async #together(org: string, several: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const items = several.map(({ item }) => item);
      const results = await this.run(org, items);
      for (const [at, { resolve }] of several.entries()) resolve(results[at]!);
    } catch (error) {
      // Only what the database says of a statement is about one of the items, and means that none is done.
      if (several.length === 1 || sqlState(error) === undefined) for (const { reject } of several) reject(error);
      else for (const one of several) await this.#together(org, [one]);
    }
  }

  /** From the front, as many as go into one statement; at least one. */
  #take(waiting: Waiting<Item, Result>[]): Waiting<Item, Result>[] {
    let bytes = 0;
    const end = waiting.findIndex(({ item }, at) => {
      bytes += this.limit.bytesOf(item);
      return at >= MAX_ITEMS || (at > 0 && bytes > this.limit.bytes);
    });
    return waiting.splice(0, end < 0 ? waiting.length : end);
  }
}
