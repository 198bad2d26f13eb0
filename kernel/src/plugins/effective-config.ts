import { AtollError } from '@atoll/plugin-sdk/contract';
import type { PluginManifest } from '@atoll/registry';
import { compileGuestSchema } from '../schema/index.js';

/** What was given with the manifest's defaults filled in. Throws CONFIG_INVALID that names each wrong value. */
export function effectiveConfig(manifest: PluginManifest, given: Record<string, unknown>): Record<string, unknown> {
  if (!manifest.config) return given;
  const validator = compileGuestSchema(manifest.config, { defaults: true });
  const value = validator.parse(given);
  if (validator.check(value)) return value as Record<string, unknown>;
  const errors = validator.errors(value);
  const list = errors
    .map(({ pointer, message }) => `${manifest.id}${pointer.replaceAll('/', '.')}: ${message}`)
    .join('; ');
  throw new AtollError('CONFIG_INVALID', list, { errors });
}
