export { findGrant, type Grant, type GrantRequest, parseGrants, type Reach } from './allow-list.js';
export type { Lookup } from './guarded-connect.js';
export * from './plugin-fetch.js';
export { ConfigSecretSource, isGranted, type Secret, type SecretSource } from './secrets.js';
export { addressProblem } from './ssrf.js';
