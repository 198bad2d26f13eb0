export * from './bus.js';
export type { EmitOptions } from './envelope.js';
export * from './topic.js';
export * from './transport.js';
