export { type Static, Type } from 'typebox';
export * from './cache.js';
export * from './capabilities.js';
export * from './contract/index.js';
export * from './http.js';
export * from './jobs.js';
export * from './plugin.js';
export * from './services.js';
export * from './storage.js';
