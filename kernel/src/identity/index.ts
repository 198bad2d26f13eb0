export { type DeclaredPermission, declaredPermissions } from './declared-permissions.js';
export { Identity, type IdentityDeps } from './identity.js';
