export * from './define.js';
export { type ConfigLine, describeConfig, type DescribeOptions } from './describe.js';
export type { LoadedConfig } from './layers.js';
export { type LoadOptions, loadConfig } from './load.js';
export { MASK, maskBySchema, maskConfig } from './mask.js';
export { type Config, ConfigSchema, LimitRuleSection, OidcProviderSection, type PartialConfig } from './schema.js';
