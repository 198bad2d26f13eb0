import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Config } from '../config/index.js';
import { ChurnMap } from '../collections/churn-map.js';
import { problemOf } from './problem.js';

/** Bounds of a server on what clients may hold open, and its orderly end. */
export class ServerGuard {
  readonly #perAddress = new Map<string, number>();
  readonly #inFlight = new ChurnMap<number, ServerResponse>();
  #requests = 0;
  #closing = false;
  #idle: (() => void) | undefined;

  constructor(
    private readonly server: Server,
    private readonly config: Config['server'],
  ) {
    server.headersTimeout = config.headersTimeoutMs;
    server.requestTimeout = config.requestTimeoutMs;
    // Node looks every 30 s unless it is told before the server listens; koa-websocket makes the server without options.
    (server as Server & { connectionsCheckingInterval: number }).connectionsCheckingInterval = Math.min(
      5_000,
      config.headersTimeoutMs,
    );
    server.keepAliveTimeout = 10_000;
    server.setTimeout(config.stallMs, (socket) => this.#onSilence(socket));
    server.on('connection', (socket) => this.#onConnection(socket));
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => this.#onClientError(error, socket as Socket));
    // Clients that would also speak HTTP/2 get HTTP/1.1, as if they had not asked.
    const upgrades = server as Server & { shouldUpgradeCallback?: (request: IncomingMessage) => boolean };
    upgrades.shouldUpgradeCallback = ({ headers }) => headers.upgrade?.toLowerCase() === 'websocket';
    server.prependListener('request', (request, response) => this.#onRequest(request, response));
  }

  get closing(): boolean {
    return this.#closing;
  }

  /** Stops accepting, lets what is in flight finish, and cuts what is left after the configured time. */
  async close(): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeIdleConnections();
    for (const response of this.#inFlight.values()) lastOfItsConnection(response);
    if (this.#inFlight.size > 0) {
      const idle = new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
      const timeout = new Promise<void>((resolve) => setTimeout(resolve, this.config.shutdownMs).unref());
      await Promise.race([idle, timeout]);
    }
    this.server.closeAllConnections();
    await closed;
  }

  #onClientError(error: NodeJS.ErrnoException, socket: Socket): void {
    // Another answer in the middle of the one that is under way would be taken for a part of it.
    const answering = [...this.#inFlight.values()].some(
      (response) => response.socket === socket && response.headersSent,
    );
    if (answering || error.code === 'ECONNRESET') socket.destroy();
    else refuse(socket, clientError(error));
  }

  /**
   * Nothing has come or gone for a while. Who takes nothing of what waits for it would hold that, and its place, for ever; who waits for
   * an answer goes on waiting.
   */
  #onSilence(socket: Socket): void {
    const waits = [...this.#inFlight.values()].some((response) => response.socket === socket);
    if (waits && socket.writableLength === 0) socket.setTimeout(this.config.stallMs);
    else socket.destroy();
  }

  #onConnection(socket: Socket): void {
    // Behind a proxy all connections are the proxy's, and limiting its clients is its business.
    if (this.config.trustProxy) return;
    const address = socket.remoteAddress ?? 'unknown';
    const open = (this.#perAddress.get(address) ?? 0) + 1;
    if (open > this.config.maxConnectionsPerAddress) {
      unread(socket);
      refuse(
        socket,
        new AtollError(
          'TOO_MANY_CONNECTIONS',
          `More than ${this.config.maxConnectionsPerAddress} connections from one address.`,
        ),
      );
      return;
    }
    this.#perAddress.set(address, open);
    socket.once('close', () => {
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
    });
  }

  #onRequest(_request: IncomingMessage, response: ServerResponse): void {
    const number = this.#requests++;
    this.#inFlight.set(number, response);
    if (this.#closing) lastOfItsConnection(response);
    response.on('close', () => {
      this.#inFlight.delete(number);
      if (this.#inFlight.size === 0) this.#idle?.();
    });
  }
}

function lastOfItsConnection(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close');
}

function clientError({ code }: NodeJS.ErrnoException): AtollError {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new AtollError('INVALID_HEADER', 'The headers are too large.', { status: 431 });
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new AtollError('BAD_REQUEST', 'The request took too long to arrive.', { status: 408 });
  return new AtollError('BAD_REQUEST', 'This is not HTTP.');
}

/** Takes the socket from the HTTP parser: what a refused client sends must not become a request. */
function unread(socket: Socket): void {
  // A listener of its own makes node:http give up reading straight from the handle.
  socket.on('data', () => {});
  for (const listener of socket.listeners('data').slice(0, -1)) socket.off('data', listener as () => void);
}

/** Answers on a bare socket, where there is no request to answer to. */
function refuse(socket: Socket, error: AtollError): void {
  if (!socket.writable) return void socket.destroy();
  const body = JSON.stringify(problemOf(error));
  socket.on('error', () => {});
  socket.end(
    `HTTP/1.1 ${error.status} ${error.code}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
  // A client that keeps sending is not waited for.
  setTimeout(() => socket.destroy(), 1_000).unref();
}
