import type { CliError } from './errors.js';
import { isInteractive } from './prompt.js';
import { showProgress } from './progress.js';

/** What a command prints: text for people, or JSON for programs (`--json`). */
export class Output {
  constructor(readonly json: boolean) {}

  /** `value` for programs, `text` for people. */
  result(value: unknown, text: string): void {
    if (this.json) process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
    else if (text !== '') process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  }

  /** One of many results that come over time: one line each. */
  line(value: unknown, text: string): void {
    process.stdout.write(`${this.json ? JSON.stringify(value) : text}\n`);
  }

  /** Runs a step that may take long; people see on stderr that it goes on. */
  step<T>(text: string, task: () => Promise<T>): Promise<T> {
    const shown = !this.json && process.stderr.isTTY === true && process.env.TERM !== 'dumb';
    return shown ? showProgress(text, task) : task();
  }

  /** Whether a question can be asked. */
  get interactive(): boolean {
    return !this.json && isInteractive();
  }

  error(error: CliError): void {
    const { code, hint } = error.details;
    const told = { error: error.message, ...(code && { code }), ...(hint && { hint }) };
    if (this.json) process.stderr.write(`${JSON.stringify(told)}\n`);
    else process.stderr.write(`error: ${error.message}${code ? ` (${code})` : ''}\n${hint ? `${hint}\n` : ''}`);
  }
}

/** Aligned columns with a head; without colours, so that it reads the same in a file. */
export function table(head: string[], rows: string[][]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd();
  return [line(head.map((title) => title.toUpperCase())), ...rows.map(line)].join('\n');
}
