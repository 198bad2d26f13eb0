import type { IncomingMessage } from 'node:http';
import { AtollError, type ErrorCode, type Principal } from '@atoll/plugin-sdk/contract';
import type Koa from 'koa';
import websockify from 'koa-websocket';
import type { ServerOptions, WebSocket } from 'ws';
import type { DenialSink } from '../audit/index.js';
import type { Authenticator } from '../auth/index.js';
import type { Config } from '../config/index.js';
import { asAtollError, bearerOf, clientAddress, problemOf } from '../http/index.js';
import type { RateLimits } from '../limits/index.js';
import type { PluginHost } from '../plugins/types.js';
import type { Logger } from '../telemetry/logger.js';
import { CLOSE, Connection, type EventSource } from './connection.js';

export interface WsGatewayDeps {
  config: Config;
  authenticator: Authenticator;
  host: PluginHost;
  events: EventSource;
  log: Logger;
  /** Where refused calls are recorded. */
  denials?: DenialSink;
  limits?: RateLimits;
}

/** Who was let in, with what. The credential is looked at again as long as the connection lasts. */
interface Verified {
  principal: Principal;
  bearer: string;
  address: string;
}

interface Client extends Verified {
  connection: Connection;
  alive: boolean;
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
  readonly #sockets = new Map<WebSocket, Client>();
  readonly #verified = new WeakMap<IncomingMessage, Verified>();
  readonly #heartbeat: NodeJS.Timeout;
  readonly #unsubscribe: (() => void) | undefined;
  #checking: Promise<void> | undefined;
  #checkAgain = false;
  #closing = false;

  constructor(
    app: Koa,
    private readonly deps: WsGatewayDeps,
  ) {
    const { maxMessageBytes, heartbeatMs } = deps.config.ws;
    const options: ServerOptions = {
      maxPayload: maxMessageBytes,
      verifyClient: ({ req }, done) => {
        this.#verify(req).then(
          (client) => {
            this.#verified.set(req, client);
            done(true);
          },
          (error) => {
            const known = asAtollError(error);
            const { status, ...problem } = problemOf(known);
            if (status === 401 || status === 403) this.#tellDenied(req, known);
            const headers = {
              'Content-Type': 'application/problem+json',
              ...(status === 401 && { 'WWW-Authenticate': CHALLENGE }),
            };
            done(false, status, JSON.stringify({ ...problem, status }), headers);
          },
        );
      },
      handleProtocols: chooseProtocol,
    };
    this.app = websockify(app as never, options as never) as unknown as Koa & websockify.App;
    this.app.ws.use(async (ctx) => this.#accept(ctx.websocket as unknown as WebSocket, ctx.req));
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs);
    this.#unsubscribe = deps.authenticator.onChange?.(() => this.#onIdentityChange());
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** Tells all clients that the server goes away, and cuts those that do not answer. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#heartbeat);
    this.#unsubscribe?.();
    for (const socket of this.#sockets.keys()) socket.close(CLOSE.GOING_AWAY, 'the server is shutting down');
    const until = performance.now() + 1_000;
    while (this.#sockets.size > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
    for (const socket of this.#sockets.keys()) socket.terminate();
  }

  #tellDenied(req: IncomingMessage, { code }: AtollError): void {
    const address = clientAddress(req, this.deps.config.server.trustProxy);
    this.deps.denials?.denied({ address }, { action: 'GET /ws' }, code);
  }

  async #verify(req: IncomingMessage): Promise<Verified> {
    // Not through `URL`: it throws for some of what clients may send.
    const [pathname, query] = (req.url ?? '').split('?', 2);
    if (pathname !== PATH) throw new AtollError('NOT_FOUND', `WebSockets are at ${PATH}.`);
    if (this.#closing) throw new AtollError('SHUTTING_DOWN');
    this.#checkOrigin(req);
    const bearer =
      bearerOf(req.headers.authorization) ?? new URLSearchParams(query).get('access_token') ?? protocolBearer(req);
    const principal = bearer === undefined ? undefined : await this.deps.authenticator.authenticate(bearer);
    if (!principal || bearer === undefined) throw new AtollError('UNAUTHENTICATED');
    const { maxConnections, maxConnectionsPerAddress } = this.deps.config.ws;
    const address = clientAddress(req, this.deps.config.server.trustProxy);
    const sameAddress = [...this.#sockets.values()].filter((client) => client.address === address).length;
    if (this.#sockets.size >= maxConnections || sameAddress >= maxConnectionsPerAddress)
      throw new AtollError('TOO_MANY_CONNECTIONS', 'There are too many WebSocket connections.');
    return { principal, bearer, address };
  }

  #checkOrigin(req: IncomingMessage): void {
    const { corsOrigins } = this.deps.config.server;
    const { origin } = req.headers;
    if (origin === undefined || corsOrigins.includes('*') || corsOrigins.includes(origin) || sameHost(origin, req))
      return;
    throw new AtollError('FORBIDDEN', `Pages of ${origin.slice(0, 200)} are not allowed here.`);
  }

  #accept(socket: WebSocket, req: IncomingMessage): void {
    const verified = this.#verified.get(req);
    try {
      if (!verified) throw new TypeError('The client was not verified.');
      socket.on('pong', () => this.#markAlive(socket));
      socket.on('close', () => this.#sockets.delete(socket));
      const { host, events, config, log } = this.deps;
      const { principal, address } = verified;
      const { limits } = this.deps;
      const count = (who: Principal) =>
        limits?.applies('plugin', who) ? limits.count('plugin', who, address) : undefined;
      const denied = (who: Principal, action: string, code: ErrorCode) =>
        this.deps.denials?.denied({ principal: who, address }, { action }, code);
      const connection = new Connection(socket, { host, events, limits: config.ws, principal, log, denied, count });
      this.#sockets.set(socket, { ...verified, connection, alive: true });
    } catch (error) {
      this.deps.log.error({ err: error }, 'a websocket failed');
      socket.close(CLOSE.INTERNAL, 'internal error');
    }
  }

  /** Changes that come while all are being looked up lead to one more look, not to one each. */
  #onIdentityChange(): void {
    this.#checkAgain = true;
    this.#checking ??= this.#checkAll().finally(() => {
      this.#checking = undefined;
    });
  }

  async #checkAll(): Promise<void> {
    while (this.#checkAgain && !this.#closing) {
      this.#checkAgain = false;
      for (const client of this.#sockets) await this.#revalidate(client);
    }
  }

  /** Whoever has lost the right to be here has to go, and whose permissions have changed goes on with those. */
  async #revalidate([socket, client]: [WebSocket, Client]): Promise<void> {
    const { authenticator, log } = this.deps;
    try {
      const principal = await (authenticator.revalidate?.(client.bearer) ?? authenticator.authenticate(client.bearer));
      if (principal) client.connection.principal = principal;
      else socket.close(CLOSE.POLICY, 'the credentials are no longer valid');
    } catch (error) {
      // The database is away: what was true a moment ago has to do.
      log.debug({ err: error }, 'a websocket client could not be looked up');
    }
  }

  #markAlive(socket: WebSocket): void {
    const client = this.#sockets.get(socket);
    if (client) client.alive = true;
  }

  /** A client that has not answered the last ping is gone. */
  #beat(): void {
    for (const [socket, client] of this.#sockets) {
      void this.#revalidate([socket, client]);
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
