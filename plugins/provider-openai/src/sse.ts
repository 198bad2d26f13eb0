/** Longest event that is accepted, in characters. */
const MAX_EVENT = 8_388_608;

/**
 * The `data` of Server-Sent Events, wherever the text was cut: lines end with LF, CRLF or CR, comments and other fields
 * are skipped, several data lines make one event. What stands after the last empty line is unfinished and dropped, as
 * the standard says.
 */
export class SseParser {
  #rest = '';
  #data: string[] = [];
  #size = 0;
  #endedInCr = false;
  /** The first line that is no field of an event: the sign of a server that sent something else. */
  stray: string | undefined;

  /** Takes the next piece of the stream and returns the events it completes. */
  push(text: string): string[] {
    // An LF after a CR that ended the last piece belongs to the same line end.
    const piece = this.#endedInCr && text.startsWith('\n') ? text.slice(1) : text;
    if (text !== '') this.#endedInCr = text.endsWith('\r');
    const lines = (this.#rest + piece).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() ?? '';
    const events: string[] = [];
    for (const line of lines) this.#take(line, events);
    if (this.#rest.length + this.#size > MAX_EVENT) throw new RangeError('an event without end');
    return events;
  }

  /** The line that the stream broke off in. */
  get unfinished(): string {
    return this.#rest;
  }

  #take(line: string, events: string[]): void {
    if (line === '') {
      if (this.#data.length > 0) events.push(this.#data.join('\n'));
      this.#data = [];
      this.#size = 0;
      return;
    }
    const [, field, value = ''] = /^(data|event|id|retry)?(?::\x20?(.*))?$/su.exec(line) ?? [];
    if (field === 'data') {
      this.#data.push(value);
      this.#size += value.length;
    } else if (field === undefined && !line.startsWith(':')) this.stray ??= line;
  }
}
