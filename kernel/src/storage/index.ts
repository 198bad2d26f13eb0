export { organisationOf, type PluginStorage, StorageService } from './service.js';
