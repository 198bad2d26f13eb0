import pg from 'pg';
import type { Logger } from '../telemetry/logger.js';
import type { Database } from './database.js';

export interface ListenerOptions {
  /** Of the connection, for whoever looks at the server. */
  name: string;
  channel: string;
  onMessage: (payload: string) => void;
  /** It listens (again); what was said before is not known. */
  onConnected: () => void;
  onLost?: () => void;
  log: Logger;
}

const RETRY_MS = 1_000;

/** Hears what other nodes say by `pg_notify`, on a connection of its own that comes back by itself. */
export class DatabaseListener {
  #client: pg.Client | undefined;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(
    private readonly database: Database,
    private readonly options: ListenerOptions,
  ) {}

  /** Resolves after the first attempt, whether it succeeded or not. */
  async start(): Promise<void> {
    const { name, channel, onMessage, onConnected, log } = this.options;
    const client = new pg.Client({ ...this.database.connectionOptions, application_name: name, keepAlive: true });
    this.#client = client;
    client.on('notification', ({ payload = '' }) => onMessage(payload));
    client.on('error', () => this.#lost(client));
    client.on('end', () => this.#lost(client));
    try {
      await client.connect();
      await client.query(`listen ${channel}`);
      onConnected();
    } catch (error) {
      log.debug({ err: error, channel }, 'not listening to other nodes');
      this.#lost(client);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#client?.end().catch(() => {});
  }

  #lost(client: pg.Client): void {
    if (this.#closed || client !== this.#client) return;
    this.#client = undefined;
    this.options.onLost?.();
    client.end().catch(() => {});
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.start(), RETRY_MS).unref();
  }
}
