import { AtollError } from '@atoll/plugin-sdk/contract';

/** Versions that differ only in build metadata are one to every range, so they can't be two packages. Throws PACKAGE_INVALID. */
export function assertVersion(version: string): void {
  if (!version.includes('+')) return;
  throw new AtollError(
    'PACKAGE_INVALID',
    `The version ${version} has build metadata ("+"), which a package can't have.`,
  );
}
