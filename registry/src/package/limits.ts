/** What a package may cost the one who reads it. Sizes in bytes. */
export interface PackageLimits {
  /** The compressed tarball. */
  tarballBytes: number;
  /** The tar archive: all files with their headers. */
  unpackedBytes: number;
  /** The code: as much as may be bundled. */
  bundleBytes: number;
  files: number;
  /** Characters of a path inside the package. */
  pathLength: number;
}

export const PACKAGE_LIMITS: Readonly<PackageLimits> = {
  tarballBytes: 16 * 1024 * 1024,
  unpackedBytes: 64 * 1024 * 1024,
  bundleBytes: 10 * 1024 * 1024,
  files: 256,
  pathLength: 180,
};
