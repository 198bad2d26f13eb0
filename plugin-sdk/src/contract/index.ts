export * from './cloud-event.js';
export * from './engine.js';
export * from './errors.js';
export * from './json-size.js';
export * from './principal.js';
export * from './problem.js';
export * from './registrations.js';
