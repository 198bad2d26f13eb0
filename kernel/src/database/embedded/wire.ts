/** PostgreSQL's wire protocol, version 3, as far as the multiplexer has to understand it. */

const STARTUP_HEAD = 8;
const MESSAGE_HEAD = 5;
/** A message larger than this is no honest client: PostgreSQL's own bound for one value. */
const MAX_MESSAGE = 1_073_741_824;

/** Splits a byte stream into whole messages; a client's first one has no type byte. */
export class MessageSplitter {
  #rest: Buffer = Buffer.alloc(0);

  constructor(private started: boolean) {}

  /** The messages that are complete now. Throws a RangeError for a length that can't be. */
  push(chunk: Uint8Array): Buffer[] {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const messages: Buffer[] = [];
    for (let size = this.#nextSize(); size !== undefined && size <= this.#rest.length; size = this.#nextSize()) {
      messages.push(this.#rest.subarray(0, size));
      this.#rest = this.#rest.subarray(size);
      this.started = true;
    }
    return messages;
  }

  #nextSize(): number | undefined {
    const head = this.started ? MESSAGE_HEAD : STARTUP_HEAD;
    if (this.#rest.length < head) return undefined;
    const length = this.#rest.readInt32BE(this.started ? 1 : 0);
    if (length < 4 || length > MAX_MESSAGE) throw new RangeError(`A message of ${length} bytes.`);
    return this.started ? length + 1 : length;
  }
}

export const typeOf = (message: Uint8Array): string => String.fromCharCode(message[0]!);

/** The code of a message without type: the protocol version, or what else a client may begin with. */
export const startupCode = (message: Buffer): number => message.readInt32BE(4);
export const PROTOCOL_3 = 196_608;

function message(type: string, ...parts: (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(`${part}\0`, 'utf8') : part)));
  const head = Buffer.alloc(MESSAGE_HEAD);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

export type SessionStatus = 'I' | 'T' | 'E';
export const readyForQuery = (status: SessionStatus): Buffer => message('Z', Buffer.from(status, 'latin1'));
export const SYNC = message('S');
export const closeStatement = (name: string): Buffer => message('C', Buffer.from('S', 'latin1'), name);
export const simpleQuery = (sql: string): Buffer => message('Q', sql);

export function errorResponse(severity: 'ERROR' | 'FATAL' | 'PANIC', code: string, text: string): Buffer {
  return message('E', `S${severity}`, `V${severity}`, `C${code}`, `M${text}`, Buffer.from([0]));
}

/** Whether no session goes on after an error of this severity. */
export const isFinal = (severity: string | undefined): boolean => severity === 'FATAL' || severity === 'PANIC';

/** Why no session can go on after this message: the text of a FATAL or PANIC; undefined for all others. */
export function endOfSession(message: Buffer): string | undefined {
  if (typeOf(message) !== 'E') return undefined;
  const fields = new Map<string, string>();
  for (let at = MESSAGE_HEAD; message[at]; at = message.indexOf(0, at) + 1)
    fields.set(String.fromCharCode(message[at]!), cstring(message, at + 1));
  const severity = fields.get('V') ?? fields.get('S');
  return isFinal(severity) ? `${severity}: ${fields.get('M')}` : undefined;
}

/** What a server says to a client that it lets in. */
export function welcome(connection: number, parameters: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat([
    message('R', int32(0)),
    ...Object.entries(parameters).map(([name, value]) => message('S', name, value)),
    message('K', int32(connection), int32(0)),
    readyForQuery('I'),
  ]);
}

/** Text of a zero-terminated string at a position. */
export function cstring(bytes: Buffer, at: number): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString('utf8', at, end < 0 ? bytes.length : end);
}
