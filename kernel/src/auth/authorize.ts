import { AtollError, allows, type Principal } from '@atoll/plugin-sdk/contract';
import type { Permission } from './permissions.js';

/**
 * The one place that decides whether a principal may. Default is deny: plugins and the kernel's own principals have no permissions here.
 * Throws UNAUTHENTICATED or FORBIDDEN.
 */
export function authorize(principal: Principal | undefined, permission: Permission | `${string}/${string}`): Principal {
  if (!principal) throw new AtollError('UNAUTHENTICATED');
  if (allows(principal, permission) || (permission === 'signed-in' && isClient(principal))) return principal;
  throw new AtollError('FORBIDDEN', `This needs the permission "${permission}".`, { permission });
}

const isClient = ({ kind }: Principal): boolean => kind === 'root' || kind === 'user' || kind === 'key';
