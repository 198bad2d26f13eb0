import type { CloudEvent } from '@atoll/plugin-sdk/contract';
import type { Redis } from 'ioredis';
import type { Database } from '../database/index.js';
import type { EventTransport } from '../events/index.js';
import { connectRedis } from '../redis/connect.js';
import type { Logger } from '../telemetry/logger.js';
import { EventStream } from './event-stream.js';
import { KnownIds } from './known-ids.js';
import { type KeptEvent, Outbox } from './outbox.js';
import { decode, encode } from './wire-event.js';

export interface RedisTransportOptions {
  url: string;
  /** For what does not wait. */
  redis: Redis;
  database: Database;
  log: Logger;
}

export interface TransportSession {
  /** Several installations may share a Redis. */
  installation: string;
  node: string;
  /** How far this node had read durable events, when it was here before. */
  position: string | undefined;
}

interface Running {
  node: string;
  channel: string;
  outbox: Outbox;
  stream: EventStream;
  subscriber: Redis;
  tidying: NodeJS.Timeout;
  /** The last event in the outbox that is of an earlier process of this node. */
  lastLeft: bigint;
}

const SEND_BATCH = 200;
const TIDY_MS = 30_000;
const SEND_AGAIN_MS = 1_000;
const KNOWN_IDS = 20_000;

/**
 * Carries events to the other nodes: ordinary ones by publish and subscribe, which reach who is there, and durable ones by an outbox in
 * the database and a stream in Redis, at least once. A bus gets each of them once, and of its own those that an earlier process has left.
 */
export class RedisTransport implements EventTransport {
  #listener: (event: CloudEvent) => void = () => {};
  #running: Running | undefined;
  #sending: Promise<void> | undefined;
  #sendAgain = false;
  #again: NodeJS.Timeout | undefined;
  #closed = false;
  readonly #known = new KnownIds(KNOWN_IDS);
  readonly #onReady = () => this.#send();

  constructor(private readonly options: RedisTransportOptions) {}

  /** Begins to send; what is published before this is of no interest to others. */
  async start({ installation, node, position }: TransportSession): Promise<void> {
    const { url, redis, database, log } = this.options;
    const prefix = `atoll:${installation}`;
    const channel = `${prefix}:events`;
    const outbox = new Outbox(database, node, log, () => this.#send());
    const lastLeft = await outbox.lastLeft();
    const stream = new EventStream(prefix, position, redis, connectRedis(url, log));
    const subscriber = connectRedis(url, log);
    const tidying = setInterval(() => void this.#tidy(), TIDY_MS).unref();
    this.#running = { node, channel, outbox, stream, subscriber, tidying, lastLeft };
    redis.on('ready', this.#onReady);
    this.#send();
  }

  /** Begins to receive: whoever wants to hear of events listens by now. */
  listen(): void {
    if (!this.#running) return;
    const { stream, subscriber, outbox, channel } = this.#running;
    const receive = (message: string) => this.#receive(message);
    subscriber.on('message', (_, message) => receive(message));
    const subscribe = () => void subscriber.subscribe(channel).catch(() => {});
    // After a connection that broke it subscribes by itself.
    if (subscriber.status === 'ready') subscribe();
    else subscriber.once('ready', subscribe);
    stream.read(receive, async () => {
      await outbox.unsend();
      this.#send();
    });
  }

  /** How far durable events were read. */
  get position(): string | undefined {
    return this.#running?.stream.position;
  }

  publish(event: CloudEvent, durable: boolean): void | Promise<void> {
    if (!this.#running || this.#closed) return;
    if (durable) {
      // Should others take this process for dead, they send what it has written.
      this.#known.add(event.id);
      return this.#running.outbox.add(event);
    }
    // Whoever is not there now does not hear of it; that is no failure.
    if (this.options.redis.status !== 'ready') return;
    return this.#publish(this.#running, event);
  }

  async keep(event: CloudEvent): Promise<void> {
    // Also when it is closed: the change is made all the same, and the next process sends what this one can't.
    if (!this.#running) return;
    this.#known.add(event.id);
    await this.#running.outbox.keep(event);
  }

  onReceive(listener: (event: CloudEvent) => void): void {
    this.#listener = listener;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#again);
    this.options.redis.off('ready', this.#onReady);
    if (!this.#running) return;
    const { outbox, stream, subscriber, tidying } = this.#running;
    clearInterval(tidying);
    await outbox.close();
    this.#send();
    await this.#sending;
    await stream.close();
    subscriber.disconnect();
  }

  async #publish({ channel, node }: Running, event: CloudEvent): Promise<void> {
    await this.options.redis.publish(channel, encode(node, JSON.stringify(event)));
  }

  #receive(message: string): void {
    const { node } = this.#running!;
    const event = decode(message, node);
    if (event && !this.#closed && this.#known.add(event.id)) this.#listener(event);
  }

  /** Brings what is in the outbox into the stream, soon. */
  #send(): void {
    this.#sendAgain = true;
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
  }

  async #sendAll(): Promise<void> {
    while (this.#sendAgain) {
      this.#sendAgain = false;
      // It is called again when Redis is back.
      if (this.options.redis.status !== 'ready') return;
      try {
        const { outbox } = this.#running!;
        this.#sendAgain = (await this.#append(await outbox.unsent(SEND_BATCH))) || this.#sendAgain;
      } catch (error) {
        this.options.log.debug({ err: error }, 'events can not be sent to other nodes now; it is tried again');
        this.#sendLater();
        return;
      }
    }
  }

  /** False when there was nothing to do. */
  async #append(kept: readonly KeptEvent[]): Promise<boolean> {
    const { outbox, stream, node: self, lastLeft } = this.#running!;
    if (kept.length === 0) return false;
    const late = ({ node, seq }: KeptEvent) => node !== self || BigInt(seq) <= lastLeft;
    const sent = await stream.append(kept.map((one) => encode(one.node, one.event, late(one))));
    await outbox.markSent(kept.slice(0, sent).map(({ seq }) => seq));
    if (sent < kept.length) throw new Error('Redis did not take all of them.');
    return true;
  }

  #sendLater(): void {
    clearTimeout(this.#again);
    if (!this.#closed) this.#again = setTimeout(() => this.#send(), SEND_AGAIN_MS).unref();
  }

  async #tidy(): Promise<void> {
    const { redis, log } = this.options;
    try {
      const { outbox } = this.#running!;
      await outbox.tidy();
      if (redis.status === 'ready') while (await this.#append(await outbox.orphans(SEND_BATCH)));
    } catch (error) {
      log.debug({ err: error }, 'the outbox can not be tidied now');
    }
  }
}
