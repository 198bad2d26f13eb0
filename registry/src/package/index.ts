export { hasIntegrity, integrityOf } from './integrity.js';
export { PACKAGE_LIMITS, type PackageLimits } from './limits.js';
export { type PackedPlugin, type PackOptions, packPlugin } from './pack.js';
export { generateSigningKey, keyIdOf, readPublicKey, readSigningKey, type SigningKey } from './publisher-key.js';
export { type Expected, type PluginPackage, type ReadOptions, readPackage } from './read-package.js';
export type { Signer } from './envelope.js';
