import { ApiKeyEntity } from '../identity/api-key-entity.js';
import { OrganisationEntity } from '../identity/organisation-entity.js';
import { SessionEntity } from '../identity/session-entity.js';
import { UserEntity } from '../identity/user-entity.js';
import { InstallationEntity } from '../marketplace/installation-entity.js';
import { PluginStateEntity } from '../plugins/plugin-state-entity.js';

/** All entities. Each lies with the feature it belongs to. */
export const ENTITIES = [
  PluginStateEntity,
  InstallationEntity,
  OrganisationEntity,
  UserEntity,
  SessionEntity,
  ApiKeyEntity,
];
