import { AtollError } from '@atoll/plugin-sdk/contract';
import type { SecretInfo, SecretVersion } from './types.js';

export interface SecretRow {
  name: string;
  id: string;
  hosts: string[];
  active_version: number;
  created_at: Date | string;
  updated_at: Date | string;
  plugins: string[] | null;
}

export interface VersionRow {
  version: number;
  created_at: Date | string;
  created_by: string;
  key_id: string;
}

export const SELECT = `select s.*, (select array_agg(g.plugin order by g.plugin) from secret_grant g where g.name = s.name) as plugins from secret s`;

export const unknown = (name: string): AtollError =>
  new AtollError('NOT_FOUND', `There is no secret "${name.slice(0, 130)}".`);

const toIso = (time: Date | string): string => new Date(time).toISOString();

/** Without its value. */
export function toInfo({ name, hosts, plugins, active_version, created_at, updated_at }: SecretRow): SecretInfo {
  return {
    name,
    source: 'api',
    hosts,
    plugins: plugins ?? [],
    version: active_version,
    createdAt: toIso(created_at),
    updatedAt: toIso(updated_at),
  };
}

export function toVersion({ version, created_at, created_by, key_id }: VersionRow, active: number): SecretVersion {
  return {
    version,
    active: version === active,
    createdAt: toIso(created_at),
    createdBy: created_by,
    masterKey: key_id,
  };
}
