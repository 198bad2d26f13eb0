import { InstallationEntity } from '../marketplace/installation-entity.js';
import { PluginStateEntity } from '../plugins/plugin-state-entity.js';

/** All entities. Each lies with the feature it belongs to. */
export const ENTITIES = [InstallationEntity, PluginStateEntity];
