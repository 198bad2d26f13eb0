/** A statement is prepared when a connection runs it for this time: what is asked once is not worth it. */
const PREPARE_AT = 3;
/** Of one connection. Each takes memory in the server. */
const MAX_STATEMENTS = 100;
/** Longer ones are lists of conditions that hardly come twice. */
const MAX_LENGTH = 8_192;

interface Statement {
  uses: number;
  /** Turn of the last use. */
  last: number;
  name: string | undefined;
}

/** The embedded database has one session for all connections, so names are the process's own. */
let count = 0;

/**
 * Which statements one connection has prepared: parsing and planning a small one takes as long as running it. Those that were not used
 * for longest are given up.
 */
export class PreparedStatements {
  readonly #statements = new Map<string, Statement>();
  #turn = 0;
  #givenUp: string[] = [];

  /** Names that the server may forget; each is told once. */
  takeGivenUp(): string[] {
    const names = this.#givenUp;
    if (names.length > 0) this.#givenUp = [];
    return names;
  }

  /** The name to run the statement by; undefined when it is not worth one. */
  nameOf(sql: string): string | undefined {
    if (sql.length > MAX_LENGTH) return undefined;
    const statement = this.#statements.get(sql) ?? this.#add(sql);
    statement.last = ++this.#turn;
    if (++statement.uses >= PREPARE_AT) statement.name ??= `atoll_${++count}`;
    return statement.name;
  }

  /** It is prepared anew when it is used again. */
  forget(sql: string): void {
    const name = this.#statements.get(sql)?.name;
    this.#statements.delete(sql);
    if (name !== undefined) this.#givenUp.push(name);
  }

  #add(sql: string): Statement {
    if (this.#statements.size >= MAX_STATEMENTS) this.forget(this.#oldest());
    const statement = { uses: 0, last: 0, name: undefined };
    this.#statements.set(sql, statement);
    return statement;
  }

  #oldest(): string {
    return [...this.#statements].reduce((oldest, next) => (next[1].last < oldest[1].last ? next : oldest))[0];
  }
}
