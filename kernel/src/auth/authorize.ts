import { AtollError, type Principal } from '@atoll/plugin-sdk/contract';

/** What a route of the kernel or a mount of a plugin asks for. */
export type Permission =
  | 'plugins.read'
  | 'plugins.manage'
  | 'plugins.call'
  | 'events.read'
  | 'database.manage'
  | 'jobs.read'
  | 'jobs.manage';

/** The one place that decides. Until there are users only the root key exists, and it may do everything. */
export function authorize(principal: Principal | undefined, permission: Permission): Principal {
  if (!principal) throw new AtollError('UNAUTHENTICATED');
  if (principal.kind === 'root') return principal;
  throw new AtollError('FORBIDDEN', `This needs the permission "${permission}".`);
}
