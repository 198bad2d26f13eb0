import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';

/** Whether somebody sits there who can answer. */
export const isInteractive = (): boolean => process.stdin.isTTY === true && process.stderr.isTTY === true;

/** A question for yes or no on the terminal; anything but yes is no, also the end of the input. */
export async function confirm(question: string): Promise<boolean> {
  return /^y(es)?$/i.test((await ask(`${question} [y/N] `, process.stderr)).trim());
}

/** A text that is not shown while it is typed. */
export async function askSecret(question: string): Promise<string> {
  process.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const answer = await ask('', silent);
  process.stderr.write('\n');
  return answer.trim();
}

/** Questions go to stderr: stdout is for results. */
async function ask(question: string, output: NodeJS.WritableStream): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output, terminal: true });
  const ended = new AbortController();
  terminal.once('close', () => ended.abort());
  terminal.once('SIGINT', () => terminal.close());
  try {
    return await terminal.question(question, { signal: ended.signal });
  } catch (error) {
    if (ended.signal.aborted) return '';
    throw error;
  } finally {
    terminal.close();
  }
}
