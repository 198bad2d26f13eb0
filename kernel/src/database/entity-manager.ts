import { EntityManager, type ForkOptions, type TransactionOptions } from '@mikro-orm/postgresql';
import { AtollError } from '@atoll/plugin-sdk/contract';

export type { EntityManager };

/**
 * MikroORM's entity manager that can't be forked within a transaction: a fork uses another connection, which the embedded database
 * has not, so both would wait for each other for ever.
 */
export class GuardedEntityManager extends EntityManager {
  #forkable = 0;

  override fork(options: ForkOptions = {}): this {
    if (this.isInTransaction() && this.#forkable === 0 && !options.keepTransactionContext)
      throw new AtollError('INTERNAL', 'An entity manager of a transaction was forked. Use it as it is.');
    return super.fork(options);
  }

  /** Within a transaction: a savepoint. */
  override transactional<T>(work: (em: this) => T | Promise<T>, options?: TransactionOptions): Promise<T> {
    this.#forkable++;
    try {
      // It makes its fork before it waits for anything.
      return super.transactional(work, options);
    } finally {
      this.#forkable--;
    }
  }
}
