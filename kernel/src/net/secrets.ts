import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Config } from '../config/index.js';

export interface Secret {
  value: string;
  /** `host` (any port) or `host:port` it may be sent to. */
  hosts: readonly string[];
}

/** Where secrets come from. The configuration now; an encrypted store takes its place later. */
export interface SecretSource {
  get(name: string): Secret | undefined;
}

export class ConfigSecretSource implements SecretSource {
  constructor(private readonly secrets: Config['secrets']) {}

  get(name: string): Secret | undefined {
    return Object.hasOwn(this.secrets, name) ? this.secrets[name] : undefined;
  }
}

const PLACEHOLDER = /\{\{secret:([^{}]*)\}\}/g;

export const hasPlaceholder = (text: string): boolean => text.includes('{{secret:');

/**
 * Fills placeholders `{{secret:NAME}}` in a header value, and adds the values to `used`. Throws SECRET_DENIED when the plugin may not
 * use the secret, or the host may not have it.
 */
export function fillSecrets(
  text: string,
  url: URL,
  permitted: readonly string[],
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
    if (!secret.hosts.some((host) => isBoundTo(host.toLowerCase(), url)))
      throw new AtollError('SECRET_DENIED', `The secret "${name}" may not be sent to ${url.host}.`);
    used.add(secret.value);
    return secret.value;
  });
}

function isBoundTo(host: string, url: URL): boolean {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return host === url.hostname || host === `${url.hostname}:${port}`;
}
