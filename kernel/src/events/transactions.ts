/** What events need of a database. */
export interface Transactions {
  /** As a transaction; as part of the one that the caller is in. */
  run<T>(work: () => Promise<T>): Promise<T>;
  /** Runs the work when the transaction that the caller is in is committed; at once without one. Never after a rollback. */
  afterCommit(work: () => void): void;
}

export const NO_TRANSACTIONS: Transactions = {
  run: (work) => work(),
  afterCommit: (work) => work(),
};
