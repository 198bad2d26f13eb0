import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { createJiti } from 'jiti';
import Value from 'typebox/value';
import { type Environment, readEnvironment } from './environment.js';
import { isRecord, type LoadedConfig, merge, nest } from './layers.js';
import { findProblems } from './problems.js';
import { type Config, ConfigSchema } from './schema.js';

export interface LoadOptions {
  /** Folder of default.ts and <nodeEnv>.ts; files that are not there are left out. */
  configDir: string;
  env: Environment;
  /** `env.NODE_ENV` when absent. */
  nodeEnv?: string;
}

/**
 * Layers: schema defaults ← config/default.ts ← config/<NODE_ENV>.ts ← environment. Throws CONFIG_INVALID that lists all problems, each
 * with its key and source.
 */
export async function loadConfig({ configDir, env, nodeEnv = env.NODE_ENV }: LoadOptions): Promise<LoadedConfig> {
  const merged: Record<string, unknown> = {};
  const sources = new Map<string, string>();
  for (const file of layerFiles(configDir, nodeEnv)) merge(merged, await importLayer(file), file, sources);
  const { values, problems } = readEnvironment(env);
  for (const { keys, value, variable } of values)
    merge(merged, nest(keys, value), `environment variable ${variable}`, sources);
  for (const section of Object.keys(ConfigSchema.properties)) merged[section] ??= {};
  const config = Value.Default(ConfigSchema, merged);
  problems.push(...findProblems(config, sources));
  if (problems.length > 0) throw new AtollError('CONFIG_INVALID', problems.join('\n'));
  return { config: config as Config, sources };
}

function layerFiles(configDir: string, nodeEnv: string | undefined): string[] {
  // Nothing that could lead to another folder, or to a test beside the files.
  const names = new Set(['default', ...(nodeEnv && /^[A-Za-z0-9_-]+$/.test(nodeEnv) ? [nodeEnv] : [])]);
  return [...names].map((name) => path.resolve(configDir, `${name}.ts`)).filter((file) => existsSync(file));
}

async function importLayer(file: string): Promise<Record<string, unknown>> {
  const layer = await importFile(file).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AtollError('CONFIG_INVALID', `${file} can't be loaded: ${reason}`, {}, { cause: error });
  });
  if (!isRecord(layer))
    throw new AtollError('CONFIG_INVALID', `${file} has to export its part of the configuration as default.`);
  return layer;
}

/** Read anew each time, for what a file makes of the environment may have changed; and wherever the file lies, it gets this module. */
function importFile(file: string): Promise<unknown> {
  const own = fileURLToPath(import.meta.url);
  const index = path.join(path.dirname(own), `index${path.extname(own)}`);
  const jiti = createJiti(import.meta.url, { moduleCache: false, alias: { '@atoll/kernel/config': index } });
  return jiti.import(file, { default: true });
}
