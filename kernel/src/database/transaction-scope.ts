import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { EntityManager } from './entity-manager.js';

/** The transaction that the running code is part of. */
export interface TransactionScope {
  readonly em: EntityManager;
  /** It has been committed or rolled back; what still runs of its callback may no longer use it. */
  ended: boolean;
  /** Something that a transaction must not wait for was begun in it. */
  violation?: string;
  /** What is to be done once it is committed. */
  readonly committed: (() => void)[];
}

const scopes = new AsyncLocalStorage<TransactionScope>();

export const currentScope = (): TransactionScope | undefined => scopes.getStore();

export const runInScope = <T>(scope: TransactionScope, work: () => Promise<T>): Promise<T> => scopes.run(scope, work);

/** As it is before any transaction: MikroORM has a context of its own, which has to be left as well. */
const noContext = AsyncLocalStorage.snapshot() as (work: () => unknown) => unknown;

/** Runs work that a transaction starts and does not wait for: it gets no part in it. */
export const outsideTransaction = <T>(work: () => T): T => noContext(work) as T;

/** Runs the work when the transaction that the caller is in is committed; at once without one. Never after a rollback. */
export function afterCommit(work: () => void): void {
  const scope = scopes.getStore();
  if (scope && !scope.ended) scope.committed.push(work);
  else work();
}

/**
 * For what may take long: a transaction holds a connection, and in the embedded database everybody else waits for it. Throws INTERNAL
 * within one, which rolls it back.
 */
export function assertOutsideTransaction(what: string): void {
  const scope = scopes.getStore();
  if (!scope || scope.ended) return;
  scope.violation ??= what;
  throw new AtollError('INTERNAL', `${what} within a database transaction. Do it before or after.`);
}

/** Node tells of every request and connection that begins; one that begins in a transaction dooms it. */
for (const channel of ['net.client.socket', 'http.client.request.created', 'undici:request:create'])
  subscribe(channel, () => {
    const scope = scopes.getStore();
    if (scope && !scope.ended) scope.violation ??= 'A network call';
  });
