/** Where a running server has its plugins, and those that it could install. */
export const PLUGINS = '/api/v1/plugins';
export const MARKETPLACE = '/api/v1/marketplace';

export const pluginAt = (id: string): string => `${PLUGINS}/${encodeURIComponent(id)}`;
export const offerAt = (id: string): string => `${MARKETPLACE}/${encodeURIComponent(id)}`;
export const versionAt = (id: string, version: string): string =>
  `${offerAt(id)}/versions/${encodeURIComponent(version)}`;
