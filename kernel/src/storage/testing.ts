import pino from 'pino';
import Value from 'typebox/value';
import { type Config, ConfigSchema } from '../config/index.js';
import { openTestDatabase, type TestDatabase } from '../database/testing.js';
import { StorageService } from './service.js';

export function storageDefaults(): Config['storage'] {
  return Value.Default(ConfigSchema.properties.storage, {}) as Config['storage'];
}

/** Storage over a fresh database of the engine under test. */
export async function openTestStorage(
  limits: Partial<Config['storage']> = {},
): Promise<TestDatabase & { storage: StorageService; reopen: () => StorageService }> {
  const test = await openTestDatabase();
  const reopen = () =>
    new StorageService(test.database, { ...storageDefaults(), ...limits }, pino({ level: 'silent' }));
  return { ...test, storage: reopen(), reopen };
}
