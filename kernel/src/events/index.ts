export * from './bus.js';
export type { EmitOptions } from './envelope.js';
export * from './topic.js';
export type { Transactions } from './transactions.js';
export * from './transport.js';
