export * from './bundle.js';
export * from './folder.js';
export * from './graph.js';
export * from './manifest.js';
export * from './package/index.js';
export * from './permissions.js';
export * from './store/index.js';
export * from './resolve/index.js';
