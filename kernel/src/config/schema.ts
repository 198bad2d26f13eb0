import { type Static, Type } from 'typebox';
import { AuditSection, AuthSection, SecretsSection } from './sections/identity.js';
import { MarketplaceSection, NetSection, PluginsSection, SandboxSection } from './sections/plugins.js';
import { EventsSection, LimitsSection, LogSection, ServerSection, WsSection } from './sections/server.js';
import {
  CacheSection,
  DatabaseSection,
  JobsSection,
  NodeSection,
  RedisSection,
  StorageSection,
} from './sections/state.js';
import { closed } from './sections/parts.js';

export { OidcProviderSection } from './sections/identity.js';
export { LimitRuleSection } from './sections/server.js';

/** One TypeBox schema per section; `secret: true` marks values that are masked wherever configuration is shown. */
export const ConfigSchema = Type.Object(
  {
    server: ServerSection,
    auth: AuthSection,
    audit: AuditSection,
    limits: LimitsSection,
    redis: RedisSection,
    node: NodeSection,
    database: DatabaseSection,
    storage: StorageSection,
    cache: CacheSection,
    jobs: JobsSection,
    ws: WsSection,
    sandbox: SandboxSection,
    net: NetSection,
    log: LogSection,
    plugins: PluginsSection,
    marketplace: MarketplaceSection,
    secrets: SecretsSection,
    events: EventsSection,
  },
  closed,
);

export type Config = Static<typeof ConfigSchema>;
/** What a `config/*.ts` file exports: any part of the configuration. */
export type PartialConfig = { [S in keyof Config]?: Partial<Config[S]> };
