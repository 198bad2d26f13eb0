export * from './authenticator.js';
export * from './authorize.js';
export * from './master-key.js';
export * from './permissions.js';
export * from './root-key.js';
export { openWith, sealWith } from './sealed.js';
