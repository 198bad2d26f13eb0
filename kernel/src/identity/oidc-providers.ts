import { AtollError } from '@atoll/plugin-sdk/contract';
import * as client from 'openid-client';
import Value from 'typebox/value';
import { type Config, OidcProviderSection } from '../config/index.js';

type Settings = Config['auth']['oidc'][string];
/** A provider as configured, with all defaults. */
export type OidcProvider = Settings &
  Required<Pick<Settings, 'scopes' | 'organisation' | 'createUsers' | 'roles' | 'defaultRoles'>>;

const TIMEOUT_S = 10;

/** The configured providers and what they say of themselves, which is asked when it is first needed. */
export class OidcProviders {
  readonly #discovered = new Map<string, Promise<client.Configuration>>();

  readonly #settings: ReadonlyMap<string, OidcProvider>;

  constructor(configured: Config['auth']['oidc']) {
    this.#settings = new Map(
      Object.entries(configured).map(([id, settings]) => [
        id,
        Value.Default(OidcProviderSection, structuredClone(settings)) as OidcProvider,
      ]),
    );
  }

  list(): { id: string; title: string }[] {
    return [...this.#settings].map(([id, { title }]) => ({ id, title: title ?? id }));
  }

  /** Throws NOT_FOUND, or UPSTREAM_UNREACHABLE. */
  async get(id: string): Promise<{ settings: OidcProvider; configuration: client.Configuration }> {
    const settings = this.#settings.get(id);
    if (!settings) throw new AtollError('NOT_FOUND', `There is no login provider "${id.slice(0, 100)}".`);
    let discovery = this.#discovered.get(id);
    if (discovery === undefined) {
      discovery = discover(id, settings);
      this.#discovered.set(id, discovery);
      // Next time it may be there.
      discovery.catch(() => this.#discovered.delete(id));
    }
    return { settings, configuration: await discovery };
  }
}

async function discover(id: string, settings: OidcProvider): Promise<client.Configuration> {
  const issuer = new URL(settings.issuer);
  // Without TLS only because the operator wrote it so.
  const execute = issuer.protocol === 'http:' ? [client.allowInsecureRequests] : [];
  const { clientId, clientSecret } = settings;
  const authentication = clientSecret === undefined ? client.None() : client.ClientSecretPost(clientSecret);
  try {
    return await client.discovery(issuer, clientId, undefined, authentication, { execute, timeout: TIMEOUT_S });
  } catch (error) {
    const reason = (error as Error).message;
    throw new AtollError(
      'UPSTREAM_UNREACHABLE',
      `The login provider "${id}" can't be used: ${reason}`,
      {},
      { cause: error },
    );
  }
}
