import { AtollError, allows, type CloudEvent, type ErrorCode, type Principal } from '@atoll/plugin-sdk/contract';
import type { WebSocket } from 'ws';
import { authorize, HOME } from '../auth/index.js';
import type { Config } from '../config/index.js';
import { problemOf } from '../http/index.js';
import type { ChannelCall, PluginHost } from '../plugins/types.js';
import type { Logger } from '../telemetry/logger.js';
import { newTraceparent } from '../telemetry/trace.js';
import { type ClientMessage, type MessageId, readMessage } from './messages.js';

/** Where events come from; the event bus fits. */
export interface EventSource {
  subscribe(pattern: string, listener: (event: CloudEvent) => void): () => void;
}

export interface ConnectionDeps {
  host: PluginHost;
  events: EventSource;
  limits: Config['ws'];
  principal: Principal;
  log: Logger;
  /** Counts a call against the rate limits, if there are any for it; rejects with TOO_MANY_REQUESTS. */
  count?: (principal: Principal) => Promise<unknown> | undefined;
  /** Told of messages that the client may not send. */
  denied?: (principal: Principal, action: string, code: ErrorCode) => void;
}

/** Close codes beyond those of the protocol. */
export const CLOSE = { GOING_AWAY: 1001, POLICY: 1008, INTERNAL: 1011, OVERLOADED: 1013 } as const;

/** How often a stream looks whether its client has caught up, in ms. */
const CATCH_UP_MS = 10;
/** Answers that may wait for a client to catch up, in characters: some of the largest. */
const MAX_WAITING = 67_108_864;

/** One client: its subscriptions, its calls, its budget of messages. */
export class Connection {
  readonly #subscriptions = new Map<string, () => void>();
  readonly #calls = new Map<MessageId, AbortController>();
  /** Characters of answers that wait for the client to catch up. */
  #waiting = 0;
  #budget: number;
  #budgetSince = performance.now();
  /** Who it is now. */
  principal: Principal;

  constructor(
    private readonly socket: WebSocket,
    private readonly deps: ConnectionDeps,
  ) {
    this.#budget = deps.limits.messagesPerSecond;
    this.principal = deps.principal;
    socket.on('message', (data, binary) => this.#onMessage(data.toString(), binary));
    socket.on('close', () => this.#release());
    socket.on('error', () => this.#release());
  }

  #onMessage(text: string, binary: boolean): void {
    // What arrives between our close and the client's is not for anyone.
    if (this.socket.readyState !== this.socket.OPEN) return;
    if (!this.#withinBudget()) return this.socket.close(CLOSE.POLICY, 'too many messages');
    if (binary) return this.socket.close(1003, 'send text');
    const { id, message, error } = readMessage(text);
    if (!message) return this.#sendError(id, error!);
    try {
      this.#handle(message);
    } catch (thrown) {
      this.#tellDenied(message, thrown);
      this.#sendError(message.id, thrown);
      if (!(thrown instanceof AtollError)) this.socket.close(CLOSE.INTERNAL, 'INTERNAL');
    }
  }

  #withinBudget(): boolean {
    const now = performance.now();
    if (now - this.#budgetSince >= 1_000) {
      this.#budgetSince = now;
      this.#budget = this.deps.limits.messagesPerSecond;
    }
    return this.#budget-- > 0;
  }

  #handle(message: ClientMessage): void {
    switch (message.type) {
      case 'ping':
        return this.#send({ id: message.id, type: 'pong' });
      case 'subscribe':
        this.#subscribe(message.topics);
        return this.#send({ id: message.id, type: 'result', data: { topics: [...this.#subscriptions.keys()] } });
      case 'unsubscribe':
        for (const topic of message.topics) {
          this.#subscriptions.get(topic)?.();
          this.#subscriptions.delete(topic);
        }
        return this.#send({ id: message.id, type: 'result', data: { topics: [...this.#subscriptions.keys()] } });
      case 'cancel':
        this.#calls.get(message.target)?.abort(new AtollError('CANCELLED'));
        return this.#send({ id: message.id, type: 'result', data: {} });
      case 'call':
        void this.#call(message.id, message.channel, message.data);
    }
  }

  /** To all of them or, when they are too many, to none. */
  #subscribe(topics: readonly string[]): void {
    authorize(this.principal, 'events.read');
    const added = new Set(topics.filter((topic) => !this.#subscriptions.has(topic)));
    const { maxSubscriptions } = this.deps.limits;
    if (this.#subscriptions.size + added.size > maxSubscriptions)
      throw new AtollError('TOO_MANY_REQUESTS', `At most ${maxSubscriptions} subscriptions.`);
    for (const topic of added)
      this.#subscriptions.set(
        topic,
        this.deps.events.subscribe(topic, (event) => this.#onEvent(topic, event)),
      );
  }

  #onEvent(topic: string, event: CloudEvent): void {
    // What the installation tells is for those who run it.
    if ((event.organisation ?? HOME) !== (this.principal.organisation ?? HOME)) return;
    if (!allows(this.principal, 'events.read')) return;
    // A client that does not read its events must not make the server keep them.
    if (this.socket.bufferedAmount <= this.deps.limits.maxBufferedBytes)
      return this.#send({ type: 'event', topic, event });
    this.#giveUp();
  }

  async #call(id: MessageId, channel: string, data: unknown): Promise<void> {
    try {
      if (this.#calls.has(id)) throw new AtollError('CONFLICT', `A call with the id ${id} is still running.`);
      const { maxCallsInFlight } = this.deps.limits;
      if (this.#calls.size >= maxCallsInFlight)
        throw new AtollError('TOO_MANY_REQUESTS', `At most ${maxCallsInFlight} calls at once.`);
    } catch (error) {
      return this.#sendError(id, error);
    }
    const controller = new AbortController();
    this.#calls.set(id, controller);
    try {
      const { signal } = controller;
      const counted = this.deps.count?.(this.principal);
      if (counted !== undefined) await counted;
      // What was cancelled meanwhile is not begun.
      signal.throwIfAborted();
      const principal = authorize(this.principal, 'plugins.call');
      const result = await this.#ask({ channel, data, principal, traceparent: newTraceparent(), signal });
      if (isStream(result)) await this.#sendStream(id, result, signal);
      else await this.#sendInTurn({ id, type: 'result', data: result ?? null }, signal);
    } catch (error) {
      this.#tellDenied({ type: 'call', channel }, error);
      this.#sendError(id, error);
    } finally {
      this.#calls.delete(id);
    }
  }

  async #ask(call: ChannelCall): Promise<unknown> {
    try {
      return await this.deps.host.callChannel(call);
    } catch (error) {
      if (error instanceof RangeError) throw new AtollError('VALIDATION_FAILED', 'The data is nested too deeply.');
      throw error;
    }
  }

  async #sendStream(id: MessageId, stream: AsyncIterable<unknown>, signal: AbortSignal): Promise<void> {
    for await (const chunk of stream) {
      await this.#sendInTurn({ id, type: 'chunk', data: chunk }, signal);
      if (signal.aborted) throw signal.reason;
    }
    this.#send({ id, type: 'end' });
  }

  /** Sends what came from a plugin once the client has taken what was sent before. One that is too far behind is given up. */
  async #sendInTurn(message: object, signal: AbortSignal): Promise<void> {
    const text = textOf(message);
    const { maxBufferedBytes } = this.deps.limits;
    if (this.socket.bufferedAmount > maxBufferedBytes && this.#waiting + text.length > maxBufferedBytes + MAX_WAITING)
      return this.#giveUp();
    this.#waiting += text.length;
    try {
      while (this.socket.bufferedAmount > maxBufferedBytes && !signal.aborted)
        await new Promise((resolve) => setTimeout(resolve, CATCH_UP_MS));
    } finally {
      this.#waiting -= text.length;
    }
    if (!signal.aborted && this.socket.readyState === this.socket.OPEN) this.socket.send(text);
  }

  #giveUp(): void {
    this.socket.close(CLOSE.OVERLOADED, 'too far behind');
    this.#release();
  }

  #tellDenied({ type, channel }: { type: string; channel?: string }, error: unknown): void {
    if (!(error instanceof AtollError) || error.code !== 'FORBIDDEN') return;
    this.deps.denied?.(this.principal, `WS ${type}${channel === undefined ? '' : ` ${channel}`}`, error.code);
  }

  #sendError(id: MessageId | undefined, thrown: unknown): void {
    const planned = thrown instanceof AtollError;
    if (!planned) this.deps.log.error({ err: thrown }, 'a websocket message failed');
    const error = planned ? thrown : new AtollError('INTERNAL', 'Something went wrong in the kernel.');
    this.#send({ ...(id !== undefined && { id }), type: 'error', error: problemOf(error) });
  }

  #send(message: object): void {
    if (this.socket.readyState === this.socket.OPEN) this.socket.send(JSON.stringify(message));
  }

  #release(): void {
    for (const unsubscribe of this.#subscriptions.values()) unsubscribe();
    this.#subscriptions.clear();
    for (const controller of this.#calls.values()) controller.abort(new AtollError('CANCELLED'));
  }
}

/** An answer comes from a plugin: it may be nested too deeply to be written. */
function textOf(message: object): string {
  try {
    return JSON.stringify(message);
  } catch {
    throw new AtollError('PLUGIN_BAD_RESPONSE', 'The answer is nested too deeply to be sent.');
  }
}

function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
