export type { Admitted, PublishOptions } from './admission.js';
export { Catalogue, isChoosable, type PluginListing, type StoredVersion } from './catalogue.js';
export type { StoreEvent } from './events.js';
export type { PackageFacts } from './facts.js';
export type { Channel, KeyTrust, Origin } from './index-document.js';
export {
  type KeyInfo,
  type OpenReport,
  PackageStore,
  type PublishRequest,
  type StoreCheck,
  type StoreOptions,
} from './package-store.js';
export type { Facets, SearchHit, SearchPage, SearchQuery } from './search.js';
export type { SignaturePolicy, TrustedKey } from './trust.js';
export { type ExportOptions, type ExportResult, exportMirror } from './mirror-export.js';
export { type ImportOptions, type ImportResult, importMirror } from './mirror-import.js';
