import { excerpt } from '@atoll/plugin-sdk/services/llm-provider';
import { badAnswer, wordsOf } from './errors.js';

/** No line of an honest server is longer. */
const MAX_LINE = 8_388_608;

/**
 * Passes an NDJSON body on line by line, wherever it was cut, and fails on anything that is not a JSON object: the
 * client library would skip such lines and so lose a part of the answer without a word. An unfinished last line fails,
 * too.
 */
export class LineGuard implements Transformer<Uint8Array, Uint8Array> {
  readonly #decoder = new TextDecoder();
  readonly #encoder = new TextEncoder();
  #rest = '';

  transform(chunk: Uint8Array, controller: TransformStreamDefaultController<Uint8Array>): void {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > MAX_LINE) throw badAnswer('sent a line without end.');
    this.#pass(lines, controller);
  }

  flush(controller: TransformStreamDefaultController<Uint8Array>): void {
    this.#pass([this.#rest + this.#decoder.decode()], controller);
  }

  #pass(lines: string[], controller: TransformStreamDefaultController<Uint8Array>): void {
    const whole = lines
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .map(checked);
    if (whole.length > 0) controller.enqueue(this.#encoder.encode(`${whole.join('\n')}\n`));
  }
}

/** The line, if it is one. The client makes an error of each `error` in it, even of null, and takes it for text. */
function checked(line: string): string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw badAnswer(`sent something that is not JSON: ${excerpt(line)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badAnswer(`sent something that is not an object: ${excerpt(line)}`);
  }
  if (!('error' in value)) return line;
  const { error, ...rest } = value;
  return JSON.stringify(error ? { error: wordsOf(error) } : rest);
}
