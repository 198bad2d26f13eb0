export * from './authenticator.js';
export * from './authorize.js';
export * from './root-key.js';
