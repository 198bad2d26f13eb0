export type { RotationState } from './master-key-rotation.js';
export type { NewSecret, SecretInfo, SecretVersion } from './types.js';
export { SecretVault } from './vault.js';
