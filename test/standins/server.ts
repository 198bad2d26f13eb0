import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a stand-in saw of one request. */
export interface SeenRequest {
  method: string;
  path: string;
  headers: Record<string, string | string[] | undefined>;
  body: unknown;
  /** The client went away before the answer was complete. */
  disconnected: boolean;
}

/** Misbehaviour that any HTTP server can show. */
export interface ServerBehaviour {
  /** Waits before answering. */
  delayMs?: number;
  /** Never answers. */
  hang?: boolean;
  /** Answers with this, whatever was asked. */
  raw?: { status: number; contentType: string; body: string; headers?: Record<string, string> };
  /** Cuts what is written into pieces of so many bytes, in mid-line and in mid-character. */
  pieceBytes?: number;
  /** Waits between the chunks of a stream. */
  chunkDelayMs?: number;
  /** Ends the stream after so many chunks, without its proper end. */
  cutAfter?: number;
  /** With `cutAfter`: tears the connection down instead of ending the answer. */
  tear?: boolean;
}

export type Answer = (request: SeenRequest, response: ServerResponse) => unknown;

/** A real HTTP server on a free port of 127.0.0.1 that keeps a record of what it is asked. */
export class StandInServer<B extends ServerBehaviour> {
  readonly requests: SeenRequest[] = [];
  behaviour: Partial<B> = {};
  readonly #server: Server;

  constructor(answer: Answer) {
    this.#server = createServer((request, response) => {
      this.#serve(request, response, answer).catch(() => response.destroy());
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get disconnects(): number {
    return this.requests.filter(({ disconnected }) => disconnected).length;
  }

  /** How it behaves from now on; nothing given is good behaviour. */
  behave(behaviour: Partial<B> = {}): void {
    this.behaviour = behaviour;
  }

  /** Requests to a path. */
  to(path: string): SeenRequest[] {
    return this.requests.filter((request) => request.path === path);
  }

  listen(): Promise<this> {
    return new Promise((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve(this)));
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const text = Buffer.concat(parts).toString('utf8');
    const seen: SeenRequest = {
      method: request.method ?? 'GET',
      path: decodeURIComponent((request.url ?? '/').split('?')[0]!),
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
      disconnected: false,
    };
    this.requests.push(seen);
    response.on('close', () => {
      seen.disconnected = !response.writableEnded;
    });
    const { delayMs, hang, raw } = this.behaviour;
    if (delayMs) await sleep(delayMs);
    if (hang) return;
    if (raw) sendText(response, raw.status, raw.contentType, raw.body, raw.headers);
    else await answer(seen, response);
  }
}

export function sendText(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
  headers = {},
): void {
  response.writeHead(status, { ...headers, 'content-type': contentType });
  response.end(body);
}

export const sendJson = (response: ServerResponse, status: number, body: unknown): void =>
  sendText(response, status, 'application/json; charset=utf-8', JSON.stringify(body));

/** Writes a stream as the behaviour says. */
export async function sendStream(
  response: ServerResponse,
  contentType: string,
  chunks: readonly string[],
  behaviour: ServerBehaviour,
): Promise<void> {
  response.writeHead(200, { 'content-type': contentType });
  const sent = chunks.slice(0, behaviour.cutAfter ?? chunks.length);
  for (const [index, chunk] of sent.entries()) {
    if (index > 0 && behaviour.chunkDelayMs) await sleep(behaviour.chunkDelayMs);
    if (response.destroyed) return;
    await writeInPieces(response, Buffer.from(chunk), behaviour.pieceBytes);
  }
  if (behaviour.cutAfter !== undefined && behaviour.tear) {
    // What was written has to be out before the connection goes.
    await sleep(20);
    response.destroy();
  } else response.end();
}

async function writeInPieces(response: ServerResponse, bytes: Buffer, size = bytes.length): Promise<void> {
  for (let at = 0; at < bytes.length; at += size) {
    response.write(bytes.subarray(at, at + size));
    // Without a pause the pieces would be joined again on their way.
    if (size < bytes.length) await sleep(1);
  }
}
