import { AtollError } from '@atoll/plugin-sdk/contract';
import type { PartialConfig } from './schema.js';

/** Types a `config/*.ts` file. */
export function defineConfig(config: PartialConfig): PartialConfig {
  return config;
}

/** What a `config/*.ts` file throws when a variable of the environment that it reads makes no sense. */
export function wrongVariable(name: string, given: string, expected: string): AtollError {
  return new AtollError(
    'CONFIG_INVALID',
    `environment variable ${name}: expected ${expected}, got ${JSON.stringify(given)}`,
  );
}
