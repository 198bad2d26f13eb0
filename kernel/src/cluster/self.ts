import { randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { KERNEL_VERSION } from '../version.js';

/** Who this kernel is among the nodes. */
export interface Self {
  readonly id: string;
  /** Of this start: what an earlier process of the same node held is not ours. */
  readonly incarnation: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly startedAt: Date;
  /** Where others reach it. */
  address: string;
}

const NODE_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

export async function identifySelf(dataDir: string, configured: string | undefined): Promise<Self> {
  return {
    id: configured ?? (await keptId(dataDir)),
    incarnation: randomUUID(),
    host: hostname(),
    pid: process.pid,
    version: KERNEL_VERSION,
    startedAt: new Date(),
    address: '',
  };
}

/** Made at the first start and kept in the data directory: a node that comes back is the same one. */
async function keptId(dataDir: string): Promise<string> {
  const file = path.join(dataDir, 'node.id');
  const known = (await readFile(file, 'utf8').catch(() => '')).trim();
  if (NODE_ID.test(known)) return known;
  const name = hostname()
    .replace(/[^A-Za-z0-9-]/g, '-')
    .replace(/^-+/, '')
    .slice(0, 40);
  const id = `${name || 'node'}-${randomUUID().slice(0, 8)}`;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  await writeFile(file, `${id}\n`);
  return id;
}
