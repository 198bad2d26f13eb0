import { AtollError } from '@atoll/plugin-sdk/contract';
import type { PluginManifest } from '@atoll/registry';

/** A route's path: relative to the first mount, or absolute when it lies inside one of the mounts. */
export function absolutePath({ mounts, id }: PluginManifest, path: string): string {
  if (!path.startsWith('/'))
    throw new AtollError('MANIFEST_INVALID', `${id}: the route path "${path}" must start with a slash.`);
  const inside = mounts.some((mount) => path === mount || path.startsWith(`${mount}/`));
  if (inside) return path;
  return path === '/' ? mounts[0]! : `${mounts[0]}${path}`;
}
