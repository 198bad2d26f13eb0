import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Config } from '../config/index.js';

export interface Secret {
  /** `host` (any port) or `host:port` it may be sent to. */
  hosts: readonly string[];
  /** Plugins that were granted it, `*` for all; absent: all whose manifests ask for it. */
  plugins?: readonly string[];
  /** The value, for when it is really sent. */
  reveal(): string;
}

/** Where secrets come from. */
export interface SecretSource {
  get(name: string): Secret | undefined;
  /** Resolves when `get` knows what other nodes have changed. */
  fresh?(): Promise<void>;
}

/** The secrets of the configuration. */
export class ConfigSecretSource implements SecretSource {
  constructor(private readonly secrets: Config['secrets']) {}

  get(name: string): Secret | undefined {
    if (!Object.hasOwn(this.secrets, name)) return undefined;
    const { value, hosts } = this.secrets[name]!;
    return { hosts, reveal: () => value };
  }
}

/** Who wants to use secrets. */
export interface SecretUser {
  plugin: string;
  /** Those that its manifest asks for. */
  permitted: readonly string[];
}

const PLACEHOLDER = /\{\{secret:([^{}]*)\}\}/g;

export const hasPlaceholder = (text: string): boolean => text.includes('{{secret:');

export const isGranted = ({ plugins }: Secret, plugin: string): boolean =>
  plugins === undefined || plugins.includes('*') || plugins.includes(plugin);

/**
 * Fills placeholders `{{secret:NAME}}` in a header value, and adds the values to `used`. Throws SECRET_DENIED when the plugin may not
 * use the secret, or the host may not have it.
 */
export function fillSecrets(
  text: string,
  url: URL,
  { plugin, permitted }: SecretUser,
  source: SecretSource,
  used: Set<string> = new Set(),
): string {
  const rest = text.replace(PLACEHOLDER, '');
  if (hasPlaceholder(rest)) throw new AtollError('SECRET_DENIED', 'A placeholder is not of the form {{secret:NAME}}.');
  return text.replace(PLACEHOLDER, (_, name: string) => {
    if (!permitted.includes(name))
      throw new AtollError('SECRET_DENIED', `"${name.slice(0, 100)}" is not in \`permissions.secrets\`.`);
    const secret = source.get(name);
    if (!secret) throw new AtollError('SECRET_DENIED', `The secret "${name}" is not set.`);
    if (!isGranted(secret, plugin))
      throw new AtollError('SECRET_DENIED', `The secret "${name}" is not granted to "${plugin}".`);
    if (!secret.hosts.some((host) => isBoundTo(host.toLowerCase(), url)))
      throw new AtollError('SECRET_DENIED', `The secret "${name}" may not be sent to ${url.host}.`);
    const value = secret.reveal();
    used.add(value);
    return value;
  });
}

function isBoundTo(host: string, url: URL): boolean {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return host === url.hostname || host === `${url.hostname}:${port}`;
}
