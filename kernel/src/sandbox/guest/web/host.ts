/** What the web APIs need of the outside. Connected after the engine snapshot is restored. */
export interface WebHost {
  /** A synchronous operation of the cell: `random` (byte count → hex), `idna` (domain → JSON). Never throws. */
  sync(operation: string, argument: string): string;
  /** An asynchronous operation of the cell. Errors come back as data: `meta.e` is [name, message]. */
  call(operation: string, meta: unknown, bytes?: Uint8Array): Promise<{ meta: unknown; bytes?: Uint8Array }>;
  /** The host calls fireTimer(id) after `ms`. */
  setTimer(id: number, ms: number): void;
  clearTimer(id: number): void;
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string): void;
  fetch(
    head: FetchHead,
    body: FetchBody,
    signal: AbortSignal | null,
  ): Promise<{ head: FetchReplyHead; body: ReadableStream<Uint8Array> | null }>;
}

/** Text is sent as UTF-8. */
export type FetchBody = string | Uint8Array | ReadableStream<Uint8Array> | null;

export interface FetchHead {
  url: string;
  method: string;
  headers: [string, string][];
  redirect: 'follow' | 'error' | 'manual';
}

export interface FetchReplyHead {
  status: number;
  statusText: string;
  url: string;
  redirected: boolean;
  headers: [string, string][];
}

let connected: WebHost | undefined;

export function connectHost(host: WebHost): void {
  connected = host;
}

export function webHost(): WebHost {
  if (!connected) throw new TypeError('Not available while the prelude loads.');
  return connected;
}
