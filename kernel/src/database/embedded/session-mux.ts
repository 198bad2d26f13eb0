import {
  closeStatement,
  cstring,
  endOfSession,
  errorResponse,
  isFinal,
  MessageSplitter,
  PROTOCOL_3,
  readyForQuery,
  type SessionStatus,
  simpleQuery,
  startupCode,
  SYNC,
  typeOf,
  welcome,
} from './wire.js';

/** One database session: takes frontend messages, answers with backend messages. */
export type Session = (request: Uint8Array) => Promise<Uint8Array>;

/** The other end of a connection. */
export interface Peer {
  send(bytes: Uint8Array): void;
  close(): void;
}

export interface MuxOptions {
  /** A connection that has a transaction open and sends nothing for so long loses it, in ms. */
  idleTransactionMs: number;
  /** What clients are told about the server. */
  parameters: Readonly<Record<string, string>>;
  /** The session has said that it can't go on, after a full disk say. What it answered after that would be wrong, so nothing asks it again. */
  onBroken?: (reason: string) => void;
}

/** Messages after which the session answers; until one of them comes, a request is incomplete. */
const ENDS_REQUEST = new Set(['S', 'Q', 'H', 'F']);
const MAX_QUEUED_BYTES = 268_435_456;

interface Connection {
  readonly peer: Peer;
  readonly splitter: MessageSplitter;
  /** Whole requests, oldest first; the last one may still be incomplete. */
  readonly requests: Buffer[][];
  readonly channels: Set<string>;
  /** Names of the statements that it has prepared. */
  readonly statements: Set<string>;
  started: boolean;
  closed: boolean;
  waiting: boolean;
  queuedBytes: number;
}

/**
 * Many PostgreSQL connections over one session. A connection owns the session from its first request until the session is idle
 * again, outside of a transaction and with no extended query half-way; the others wait in the order in which they asked.
 */
export class SessionMux {
  readonly #connections = new Set<Connection>();
  readonly #waiting: Connection[] = [];
  #owner: Connection | undefined;
  #status: SessionStatus = 'I';
  #busy = false;
  #broken = false;
  #idle: NodeJS.Timeout | undefined;
  #exclusive: (() => Promise<void>)[] = [];
  #count = 0;

  constructor(
    private readonly session: Session,
    private readonly options: MuxOptions,
  ) {}

  /** A new connection: what its client sends, and that it has gone. */
  attach(peer: Peer): { receive(bytes: Uint8Array): void; closed(): void } {
    const connection: Connection = {
      peer,
      splitter: new MessageSplitter(false),
      requests: [],
      channels: new Set(),
      statements: new Set(),
      started: false,
      closed: false,
      waiting: false,
      queuedBytes: 0,
    };
    this.#connections.add(connection);
    return { receive: (bytes) => this.#receive(connection, bytes), closed: () => this.#leave(connection) };
  }

  /** Runs a task while no connection uses the session. What ends the session in it ends it for the connections as well. */
  exclusive<T>(task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const failed = (error: { severity?: string; message: string }) => {
        if (isFinal(error.severity)) this.#break(`${error.severity}: ${error.message}`);
        reject(error);
      };
      this.#exclusive.push(() => task().then(resolve, failed));
      void this.#pump();
    });
  }

  get connections(): number {
    return this.#connections.size;
  }

  #receive(connection: Connection, bytes: Uint8Array): void {
    if (connection.closed) return;
    connection.queuedBytes += bytes.byteLength;
    if (connection.queuedBytes > MAX_QUEUED_BYTES) return this.#expel(connection, '54000', 'The request is too large.');
    try {
      for (const message of connection.splitter.push(bytes)) this.#accept(connection, message);
    } catch {
      this.#expel(connection, '08P01', 'Malformed message.');
    }
    void this.#pump();
  }

  #accept(connection: Connection, message: Buffer): void {
    if (!connection.started) return this.#start(connection, message);
    const type = typeOf(message);
    if (type === 'X') return this.#leave(connection);
    const last = connection.requests.at(-1);
    const incomplete = last !== undefined && !ENDS_REQUEST.has(typeOf(last.at(-1)!));
    if (incomplete) last.push(message);
    else connection.requests.push([message]);
    if (!ENDS_REQUEST.has(type) || this.#owner === connection || connection.waiting) return;
    connection.waiting = true;
    this.#waiting.push(connection);
  }

  #start(connection: Connection, message: Buffer): void {
    // No encryption to negotiate within a process, and nothing that could be cancelled.
    if (startupCode(message) !== PROTOCOL_3) return this.#leave(connection);
    connection.started = true;
    connection.queuedBytes = 0;
    connection.peer.send(welcome(++this.#count, this.options.parameters));
  }

  async #pump(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let step = this.#next(); step; step = this.#next()) await step();
    } finally {
      this.#busy = false;
    }
  }

  /** One request, or one exclusive task; undefined when there is nothing to do. Nothing may arrive between that and the end of the pump. */
  #next(): (() => Promise<void>) | undefined {
    if (this.#broken) return undefined;
    if (!this.#owner && this.#exclusive.length > 0) return this.#exclusive.shift();
    this.#owner ??= this.#nextOwner();
    const owner = this.#owner;
    if (!owner) return undefined;
    const request = this.#nextRequest(owner);
    if (request) return () => this.#serve(owner, request);
    this.#watchIdle(owner);
    return undefined;
  }

  #nextOwner(): Connection | undefined {
    const next = this.#waiting.shift();
    if (next) next.waiting = false;
    return next;
  }

  #nextRequest({ requests }: Connection): Buffer[] | undefined {
    const first = requests[0];
    return first && ENDS_REQUEST.has(typeOf(first.at(-1)!)) ? requests.shift() : undefined;
  }

  #watchIdle(owner: Connection): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      if (this.#owner === owner && !this.#busy)
        this.#expel(owner, '25P03', 'The transaction was idle for too long and has been rolled back.');
    }, this.options.idleTransactionMs);
  }

  async #serve(owner: Connection, request: Buffer[]): Promise<void> {
    clearTimeout(this.#idle);
    const bytes = request.length === 1 ? request[0]! : Buffer.concat(request);
    owner.queuedBytes -= bytes.length;
    for (const channel of listenedTo(request)) owner.channels.add(channel);
    notePrepared(request, owner.statements);
    const flushed = typeOf(request.at(-1)!) === 'H';
    this.#forward(owner, await this.session(bytes), flushed);
    if (this.#broken) return;
    if (owner.closed) await this.#rollback();
    // After a Flush the same client goes on; after anything else it has given up the session when no transaction is open.
    if (this.#status !== 'I' || (flushed && !owner.closed)) return;
    this.#owner = undefined;
    if (this.#nextComplete(owner)) {
      owner.waiting = true;
      this.#waiting.push(owner);
    }
  }

  #nextComplete({ requests, closed }: Connection): boolean {
    const first = requests[0];
    return !closed && first !== undefined && ENDS_REQUEST.has(typeOf(first.at(-1)!));
  }

  /**
   * Sends an answer on. The session may say "ready" more often than it was asked (after an error in an extended query): the client
   * gets that exactly once, at the end, and not at all after a Flush.
   */
  #forward(owner: Connection, answer: Uint8Array, flushed: boolean): void {
    const own: Buffer[] = [];
    let broken: string | undefined;
    for (const message of new MessageSplitter(true).push(answer)) {
      const type = typeOf(message);
      if (type === 'Z') this.#status = String.fromCharCode(message[5]!) as SessionStatus;
      else if (type === 'A') this.#notify(message);
      else own.push(message);
      broken ??= endOfSession(message);
    }
    if (!flushed && broken === undefined) own.push(readyForQuery(this.#status));
    if (!owner.closed && own.length > 0) owner.peer.send(Buffer.concat(own));
    if (broken !== undefined) this.#break(broken);
  }

  #break(reason: string): void {
    this.#broken = true;
    for (const { peer } of this.#connections) peer.close();
    this.options.onBroken?.(reason);
  }

  #notify(message: Buffer): void {
    const channel = cstring(message, 9);
    for (const connection of this.#connections)
      if (connection.channels.has(channel)) connection.peer.send(Buffer.from(message));
  }

  #expel(connection: Connection, code: string, text: string): void {
    connection.peer.send(errorResponse('FATAL', code, text));
    connection.peer.close();
    this.#leave(connection);
  }

  #leave(connection: Connection): void {
    if (connection.closed) return;
    connection.closed = true;
    connection.requests.length = 0;
    this.#connections.delete(connection);
    const at = this.#waiting.indexOf(connection);
    if (at >= 0) this.#waiting.splice(at, 1);
    // A request of it that still runs is followed by the rollback, in #serve.
    if (this.#owner === connection && !this.#busy) void this.#release();
    if (connection.statements.size > 0) void this.exclusive(() => this.#forget(connection.statements)).catch(() => {});
  }

  /** A server forgets a connection's statements with it; here the session goes on. */
  async #forget(statements: ReadonlySet<string>): Promise<void> {
    await this.session(Buffer.concat([...[...statements].map(closeStatement), SYNC]));
  }

  async #release(): Promise<void> {
    this.#busy = true;
    clearTimeout(this.#idle);
    try {
      await this.#rollback();
    } finally {
      this.#busy = false;
    }
    this.#owner = undefined;
    void this.#pump();
  }

  async #rollback(): Promise<void> {
    if (this.#broken) return;
    // The Sync ends an extended query that was left half-way.
    for (const request of [SYNC, simpleQuery('ROLLBACK')]) await this.session(request);
    this.#status = 'I';
  }
}

function notePrepared(request: readonly Buffer[], statements: Set<string>): void {
  for (const message of request) {
    const type = typeOf(message);
    if (type === 'P' && message[5] !== 0) statements.add(cstring(message, 5));
    const given = type === 'Q' ? /^deallocate (\w+)$/i.exec(cstring(message, 5)) : null;
    if (given) statements.delete(given[1]!);
  }
}

/** Channels that a request listens to. Notifications reach the session once; who wants them is known only here. */
function listenedTo(request: readonly Buffer[]): string[] {
  const channels: string[] = [];
  for (const message of request) {
    const type = typeOf(message);
    if (type !== 'Q' && type !== 'P') continue;
    const sql = type === 'Q' ? cstring(message, 5) : cstring(message, message.indexOf(0, 5) + 1);
    for (const [, quoted, plain] of sql.matchAll(/(?:^|;)\s*listen\s+(?:"((?:[^"]|"")+)"|([a-z_][\w$]*))/gi))
      channels.push(quoted === undefined ? plain!.toLowerCase() : quoted.replaceAll('""', '"'));
  }
  return channels;
}
