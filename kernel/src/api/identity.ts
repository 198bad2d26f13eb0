import type { KernelRoute } from '../http/kernel-route.js';
import type { Identity } from '../identity/index.js';
import { apiKeyApi } from './api-keys.js';
import { authApi } from './auth.js';
import { oidcApi } from './oidc.js';
import { organisationApi, roleApi } from './organisations.js';
import { userApi } from './users.js';

/** All routes about who there is and what they may do. */
export function identityApi(identity: Identity, publicUrl: string | undefined): KernelRoute[] {
  return [
    ...authApi(identity),
    ...oidcApi(identity, publicUrl),
    ...userApi(identity),
    ...apiKeyApi(identity),
    ...organisationApi(identity),
    ...roleApi(identity),
  ];
}
