/** A statement under construction: text with numbered parameters. */
export class Sql {
  readonly parameters: unknown[] = [];

  /** The placeholder of a value. */
  value(value: unknown): string {
    this.parameters.push(value);
    return `$${this.parameters.length}`;
  }
}

/** A text literal. Only for what has been checked: names of fields. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;
