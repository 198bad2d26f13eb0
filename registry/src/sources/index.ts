export { fetchPlan, type Gathered, type GatherRequest, gather, type Offer } from './gather.js';
export { fetchIntoStore } from './fetch-into-store.js';
export { type FolderProblem, WatchedFolder, type WatchedFolderOptions } from './folder-source.js';
export { NpmSource, type NpmSourceOptions } from './npm-source.js';
export { type OfferedPlugin, type OfferedVersion, offeredCandidate, type PackageSource } from './package-source.js';
