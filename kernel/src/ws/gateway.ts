import type { IncomingMessage } from 'node:http';
import { AtollError, type Principal } from '@atoll/plugin-sdk/contract';
import type Koa from 'koa';
import websockify from 'koa-websocket';
import type { ServerOptions, WebSocket } from 'ws';
import type { Authenticator } from '../auth/index.js';
import type { Config } from '../config/index.js';
import { asAtollError, bearerOf, problemOf } from '../http/index.js';
import type { PluginHost } from '../plugins/types.js';
import type { Logger } from '../telemetry/logger.js';
import { CLOSE, Connection, type EventSource } from './connection.js';

export interface WsGatewayDeps {
  config: Config;
  authenticator: Authenticator;
  host: PluginHost;
  events: EventSource;
  log: Logger;
}

const PATH = '/ws';
/** Browsers can't set headers on a WebSocket; the credential may be a sub-protocol instead. */
const BEARER_PROTOCOL = 'bearer.';
const CHALLENGE = 'Bearer realm="atoll"';

/**
 * `GET /ws`. Everything that can be refused is refused before the upgrade: path, origin, credentials, limits. koa-websocket would
 * accept first, leave unknown paths open and swallow errors.
 */
export class WsGateway {
  readonly app: Koa & websockify.App;
  readonly #sockets = new Map<WebSocket, { address: string; alive: boolean }>();
  readonly #principals = new WeakMap<IncomingMessage, Principal>();
  readonly #heartbeat: NodeJS.Timeout;
  #closing = false;

  constructor(
    app: Koa,
    private readonly deps: WsGatewayDeps,
  ) {
    const { maxMessageBytes, heartbeatMs } = deps.config.ws;
    const options: ServerOptions = {
      maxPayload: maxMessageBytes,
      verifyClient: ({ req }, done) => {
        try {
          this.#principals.set(req, this.#verify(req));
        } catch (error) {
          // Nobody would catch it: this runs in the server's own event.
          const { status, ...problem } = problemOf(asAtollError(error));
          const headers = {
            'Content-Type': 'application/problem+json',
            ...(status === 401 && { 'WWW-Authenticate': CHALLENGE }),
          };
          return done(false, status, JSON.stringify({ ...problem, status }), headers);
        }
        done(true);
      },
      handleProtocols: chooseProtocol,
    };
    this.app = websockify(app as never, options as never) as unknown as Koa & websockify.App;
    this.app.ws.use(async (ctx) => this.#accept(ctx.websocket as unknown as WebSocket, ctx.req));
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs);
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** Tells all clients that the server goes away, and cuts those that do not answer. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#heartbeat);
    for (const socket of this.#sockets.keys()) socket.close(CLOSE.GOING_AWAY, 'the server is shutting down');
    const until = Date.now() + 1_000;
    while (this.#sockets.size > 0 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
    for (const socket of this.#sockets.keys()) socket.terminate();
  }

  #verify(req: IncomingMessage): Principal {
    // Not through `URL`: it throws for some of what clients may send.
    const [pathname, query] = (req.url ?? '').split('?', 2);
    if (pathname !== PATH) throw new AtollError('NOT_FOUND', `WebSockets are at ${PATH}.`);
    if (this.#closing) throw new AtollError('SHUTTING_DOWN');
    this.#checkOrigin(req);
    const bearer =
      bearerOf(req.headers.authorization) ?? new URLSearchParams(query).get('access_token') ?? protocolBearer(req);
    const principal = bearer === undefined ? undefined : this.deps.authenticator.authenticate(bearer);
    if (!principal) throw new AtollError('UNAUTHENTICATED');
    const { maxConnections, maxConnectionsPerAddress } = this.deps.config.ws;
    const address = this.#addressOf(req);
    const sameAddress = [...this.#sockets.values()].filter((client) => client.address === address).length;
    if (this.#sockets.size >= maxConnections || sameAddress >= maxConnectionsPerAddress)
      throw new AtollError('TOO_MANY_CONNECTIONS', 'There are too many WebSocket connections.');
    return principal;
  }

  #checkOrigin(req: IncomingMessage): void {
    const { corsOrigins } = this.deps.config.server;
    const { origin } = req.headers;
    if (origin === undefined || corsOrigins.includes('*') || corsOrigins.includes(origin) || sameHost(origin, req))
      return;
    throw new AtollError('FORBIDDEN', `Pages of ${origin.slice(0, 200)} are not allowed here.`);
  }

  /** A proxy adds the address it sees at the end; what is before it the client may have made up. */
  #addressOf(req: IncomingMessage): string {
    const forwarded = this.deps.config.server.trustProxy ? req.headers['x-forwarded-for'] : undefined;
    return forwarded?.toString().split(',').at(-1)?.trim() || (req.socket.remoteAddress ?? 'unknown');
  }

  #accept(socket: WebSocket, req: IncomingMessage): void {
    const principal = this.#principals.get(req);
    try {
      if (!principal) throw new TypeError('The client was not verified.');
      this.#sockets.set(socket, { address: this.#addressOf(req), alive: true });
      socket.on('pong', () => this.#markAlive(socket));
      socket.on('close', () => this.#sockets.delete(socket));
      const { host, events, config, log } = this.deps;
      new Connection(socket, { host, events, limits: config.ws, principal, log });
    } catch (error) {
      this.deps.log.error({ err: error }, 'a websocket failed');
      socket.close(CLOSE.INTERNAL, 'internal error');
    }
  }

  #markAlive(socket: WebSocket): void {
    const client = this.#sockets.get(socket);
    if (client) client.alive = true;
  }

  /** A client that has not answered the last ping is gone. */
  #beat(): void {
    for (const [socket, client] of this.#sockets) {
      if (!client.alive) {
        socket.terminate();
        continue;
      }
      client.alive = false;
      socket.ping();
    }
  }
}

/** Browsers want one of theirs chosen; the one that is no credential, if there is one. */
function chooseProtocol(protocols: Set<string>): string | false {
  const [first, ...others] = protocols;
  return [first, ...others].find((protocol) => !protocol?.startsWith(BEARER_PROTOCOL)) ?? first ?? false;
}

function protocolBearer(req: IncomingMessage): string | undefined {
  const protocols = (req.headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim());
  return protocols.find((protocol) => protocol.startsWith(BEARER_PROTOCOL))?.slice(BEARER_PROTOCOL.length);
}

function sameHost(origin: string, req: IncomingMessage): boolean {
  return URL.canParse(origin) && new URL(origin).host === req.headers.host;
}
