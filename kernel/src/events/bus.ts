import { AtollError, type CloudEvent, type JsonSchema } from '@atoll/plugin-sdk/contract';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { adoptEvent, createEvent, type EmitOptions } from './envelope.js';
import { ListenerQueue } from './queue.js';
import { withTimeLimit } from './time-limit.js';
import { isTopic, patternProblem, topicMatcher } from './topic.js';
import { NO_TRANSACTIONS, type Transactions } from './transactions.js';
import { type EventTransport, LocalTransport } from './transport.js';

export type EventListener = (event: CloudEvent) => unknown;

export type BusProblem =
  | 'listener failed'
  | 'listener too slow'
  | 'queue overflow'
  | 'malformed pattern'
  | 'transport failed'
  | 'event from elsewhere refused';

export interface EventBusOptions {
  /** Events waiting per listener; beyond it the oldest is dropped and counted. */
  queueLimit: number;
  /** How long a listener may take for one event, in ms; 30 000 when absent. */
  listenerTimeoutMs?: number;
  transport?: EventTransport;
  /** For events that tell of changes in a database. */
  transactions?: Transactions;
  /** Told of what goes wrong, for the log; of overflow once per burst. `subject` is a pattern or a topic. */
  onProblem?: (problem: BusProblem, subject: string, error?: unknown) => void;
}

export interface SubscribeOptions {
  /** Instead of the bus's own, in ms. */
  timeoutMs?: number;
}

/** Ends the subscription when called (or at the end of a `using` block); what waits in its queue is forgotten. */
export interface Subscription extends Disposable {
  (): void;
  readonly pattern: string;
  stats(): { waiting: number; dropped: number };
  /** Takes no new events, but what is queued is still delivered. Resolves when that is done, or the subscription is ended. */
  finish(): Promise<void>;
}

export interface BusStats {
  listeners: number;
  /** Events that `emit` took, and that came from other nodes. */
  emitted: number;
  received: number;
  /** Calls of listeners that succeeded, failed, or took too long. */
  delivered: number;
  failed: number;
  timedOut: number;
  /** Events that full queues lost, and that wait in queues now. */
  dropped: number;
  waiting: number;
}

interface Member {
  matches: (topic: string) => boolean;
  pattern: string;
  listener: EventListener;
  timeoutMs: number;
  queue: ListenerQueue<Queued>;
}

interface Queued {
  event: CloudEvent;
  onLeave: () => void;
}

type TopicCheck = (data: unknown) => string | undefined;

export interface TopicOptions {
  /** Whether nodes that are away for a while get its events all the same; as its name says when absent. */
  durable?: boolean;
}

/** What reports changes of state is durable, unless its topic says otherwise. */
const DURABLE = /^(plugin|job|user|organisation)\./;

const DEFAULT_TIMEOUT_MS = 30_000;

/**
 * Events by topic. The modes have names: `emit` queues and returns, `parallel` awaits all listeners, `serial` one after the other,
 * `bail` stops at the first answer, `waterfall` hands each listener's answer to the next. A listener that fails, hangs or falls
 * behind never affects another one. Each listener gets emitted events in order and one by one; the awaited modes call it directly,
 * beside its queue, so that a listener may dispatch without waiting for itself.
 */
export class EventBus {
  readonly #members = new Set<Member>();
  /** Subscriptions that take no new events and have some left to deliver. */
  readonly #finishing = new Set<Member>();
  readonly #topics = new Map<string, TopicCheck>();
  readonly #durable = new Map<string, boolean>();
  readonly #transport: EventTransport;
  readonly #transactions: Transactions;
  readonly #counts = { emitted: 0, received: 0, delivered: 0, failed: 0, timedOut: 0 };
  /** Of listeners that are gone. */
  #droppedBefore = 0;

  constructor(private readonly options: EventBusOptions) {
    this.#transport = options.transport ?? new LocalTransport();
    this.#transactions = options.transactions ?? NO_TRANSACTIONS;
    this.#transport.onReceive((event) => this.#receive(event));
  }

  /** Declares a topic: events of it have to match the schema from now on, wherever they come from. */
  defineTopic(topic: string, schema: TSchema | JsonSchema, { durable }: TopicOptions = {}): void {
    if (!isTopic(topic)) throw new AtollError('EVENT_INVALID', `"${topic}" is no topic.`);
    if (durable !== undefined) this.#durable.set(topic, durable);
    const compiled = Compile(schema as TSchema);
    this.#topics.set(topic, (data) => {
      if (compiled.Check(data)) return undefined;
      const first = [...compiled.Errors(data)][0];
      return `${first?.instancePath || '/'} ${first?.message ?? 'is wrong'}`;
    });
  }

  /** Names of the declared topics. */
  get topics(): string[] {
    return [...this.#topics.keys()];
  }

  /**
   * Listens to a topic or a pattern (`*` one segment, `**` the rest). A malformed pattern is reported and never matches; it does not
   * throw, for a plugin that becomes active has no way back. Check with `patternProblem` where one can still be refused.
   */
  subscribe(pattern: string, listener: EventListener, options: SubscribeOptions = {}): Subscription {
    const problem = patternProblem(pattern);
    if (problem) this.#tell('malformed pattern', pattern, problem);
    const timeoutMs = options.timeoutMs ?? this.options.listenerTimeoutMs ?? DEFAULT_TIMEOUT_MS;
    const queue = new ListenerQueue<Queued>(this.options.queueLimit, {
      handle: ({ event }) => this.#call(member, event),
      onLeave: ({ onLeave }) => onLeave(),
      onError: (error) => this.#report(member.pattern, error),
      onOverflow: () => this.#tell('queue overflow', pattern),
    });
    const matches = problem ? () => false : topicMatcher(pattern);
    const member: Member = { matches, pattern, listener, timeoutMs, queue };
    this.#members.add(member);
    return this.#subscription(member);
  }

  /** Queues the event for every listener. Throws EVENT_INVALID when it does not match its topic. */
  emit(topic: string, data: unknown, options: EmitOptions = {}): CloudEvent {
    const event = this.#create(topic, data, options);
    this.#counts.emitted++;
    this.#enqueue(event, options.onTaken);
    this.#publish(event);
    return event;
  }

  /**
   * As `emit`, for an event that tells of a change in the database: it is only published when the transaction that the caller is in is
   * committed, and a durable one is kept for other nodes with it.
   */
  async record(topic: string, data: unknown, options: EmitOptions = {}): Promise<CloudEvent> {
    const event = this.#create(topic, data, options);
    const kept = this.#isDurable(topic) && this.#transport.keep !== undefined;
    if (kept) await this.#transport.keep!(event);
    this.#transactions.afterCommit(() => {
      this.#counts.emitted++;
      this.#enqueue(event);
      if (!kept) this.#publish(event);
    });
    return event;
  }

  /** Runs a change with the events that it records: in one transaction, where events are kept in the database. */
  together<T>(change: () => Promise<T>): Promise<T> {
    return this.#transport.keep ? this.#transactions.run(change) : change();
  }

  /** Runs all listeners at once and resolves with what failed, when all have ended or had their time. */
  async parallel(topic: string, data: unknown, options: EmitOptions = {}): Promise<unknown[]> {
    const event = this.#create(topic, data, options);
    const results = await Promise.allSettled(this.#matching(topic).map((member) => this.#call(member, event)));
    return results.filter((result) => result.status === 'rejected').map(({ reason }) => reason as unknown);
  }

  /** Runs the listeners in the order they came, one after the other, and resolves with what failed. */
  async serial(topic: string, data: unknown, options: EmitOptions = {}): Promise<unknown[]> {
    const event = this.#create(topic, data, options);
    const failures: unknown[] = [];
    for (const member of this.#matching(topic)) {
      if (!this.#members.has(member)) continue;
      await this.#call(member, event).catch((error: unknown) => failures.push(error));
    }
    return failures;
  }

  /** Asks the listeners in order; the first answer that is not undefined wins. Listeners that fail are reported and passed over. */
  async bail<T>(topic: string, data: unknown, options: EmitOptions = {}): Promise<T | undefined> {
    const event = this.#create(topic, data, options);
    for (const member of this.#matching(topic)) {
      const answer = await this.#ask(member, () => event);
      if (answer !== undefined) return answer as T;
    }
    return undefined;
  }

  /**
   * Hands the data through the listeners in order; each may answer with new data. One that fails, or answers with data that does not
   * match the topic, is reported and leaves it as it was.
   */
  async waterfall<T>(topic: string, data: T, options: EmitOptions = {}): Promise<T> {
    let event = this.#create(topic, data, options);
    for (const member of this.#matching(topic)) {
      const answer = await this.#ask(member, () => event);
      if (answer === undefined) continue;
      try {
        event = this.#create(topic, answer, options);
      } catch (error) {
        this.#report(member.pattern, error);
      }
    }
    return event.data as T;
  }

  stats(): BusStats {
    const queues = [...this.#members, ...this.#finishing].map(({ queue }) => queue);
    return {
      listeners: queues.length,
      ...this.#counts,
      dropped: queues.reduce((sum, { dropped }) => sum + dropped, this.#droppedBefore),
      waiting: queues.reduce((sum, { size }) => sum + size, 0),
    };
  }

  /** Resolves when every queue is empty and its listener done. */
  async idle(): Promise<void> {
    await Promise.all([...this.#members, ...this.#finishing].map(({ queue }) => queue.idle()));
  }

  /** Ends all subscriptions. */
  async close(): Promise<void> {
    for (const member of [...this.#members, ...this.#finishing]) this.#remove(member);
    await this.#transport.close();
  }

  #subscription(member: Member): Subscription {
    const end = () => this.#remove(member);
    return Object.assign(end, {
      pattern: member.pattern,
      stats: () => ({ waiting: member.queue.size, dropped: member.queue.dropped }),
      finish: () => this.#finish(member),
      [Symbol.dispose]: end,
    });
  }

  async #finish(member: Member): Promise<void> {
    if (this.#members.delete(member)) this.#finishing.add(member);
    await member.queue.idle();
    this.#remove(member);
  }

  #remove(member: Member): void {
    const known = this.#members.delete(member);
    if (!this.#finishing.delete(member) && !known) return;
    this.#droppedBefore += member.queue.dropped;
    member.queue.close();
  }

  #matching(topic: string): Member[] {
    return [...this.#members].filter(({ matches }) => matches(topic));
  }

  /** Calls a listener within its time, and counts. */
  async #call({ pattern, listener, timeoutMs }: Member, event: CloudEvent): Promise<unknown> {
    try {
      const answer = await withTimeLimit(timeoutMs, `A listener of "${pattern}"`, () => listener(event));
      this.#counts.delivered++;
      return answer;
    } catch (error) {
      if (isTimeout(error)) this.#counts.timedOut++;
      else this.#counts.failed++;
      throw error;
    }
  }

  async #ask(member: Member, event: () => CloudEvent): Promise<unknown> {
    if (!this.#members.has(member)) return undefined;
    try {
      return await this.#call(member, event());
    } catch (error) {
      this.#report(member.pattern, error);
      return undefined;
    }
  }

  #create(topic: string, data: unknown, options: EmitOptions): CloudEvent {
    if (!isTopic(topic)) throw new AtollError('EVENT_INVALID', `"${topic}" is no topic.`);
    const problem = this.#topics.get(topic)?.(data);
    if (problem) throw new AtollError('EVENT_INVALID', `An event "${topic}" does not match its schema: ${problem}.`);
    return createEvent(topic, data, options);
  }

  #enqueue(event: CloudEvent, onTaken = () => {}): void {
    const listeners = this.#matching(event.type);
    let waiting = listeners.length;
    if (waiting === 0) onTaken();
    const onLeave = () => {
      if (--waiting === 0) onTaken();
    };
    for (const { queue } of listeners) queue.push({ event, onLeave });
  }

  /** Other nodes may run another version: what they send is checked like everything else. */
  #receive(event: CloudEvent): void {
    this.#counts.received++;
    const problem = isTopic(event.type) ? this.#topics.get(event.type)?.(event.data) : 'it has no topic';
    if (problem) this.#tell('event from elsewhere refused', event.type, problem);
    else this.#enqueue(adoptEvent(event));
  }

  #publish(event: CloudEvent): void {
    const failed = (error: unknown) => this.#tell('transport failed', event.type, error);
    try {
      this.#transport.publish(event, this.#isDurable(event.type))?.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  #isDurable(topic: string): boolean {
    return this.#durable.get(topic) ?? DURABLE.test(topic);
  }

  #report(pattern: string, error: unknown): void {
    this.#tell(isTimeout(error) ? 'listener too slow' : 'listener failed', pattern, error);
  }

  #tell(problem: BusProblem, subject: string, error?: unknown): void {
    try {
      this.options.onProblem?.(problem, subject, error);
    } catch {
      // Telling is a courtesy; a log that fails must not stop events.
    }
  }
}

const isTimeout = (error: unknown): boolean => error instanceof AtollError && error.code === 'DEADLINE_EXCEEDED';
