export * from './app.js';
export { addressBlock, clientAddress } from './client-address.js';
export { asAtollError } from './errors.js';
export { bearerOf } from './middleware.js';
export { problemOf } from './problem.js';
export * from './route-table.js';
export { ServerGuard } from './server.js';
