/** Where the parts of a package lie in it. */
export const BUNDLE_FILE = 'dist/plugin.js';
export const MAP_FILE = 'dist/plugin.js.map';
export const LICENCES_FILE = 'THIRD-PARTY-LICENSES.txt';
export const SBOM_FILE = 'sbom.cdx.json';
/** Marks a package.json whose entry is bundled already, with the version of this layout. */
export const FORMAT_KEY = 'atollPackage';
export const FORMAT = 1;
