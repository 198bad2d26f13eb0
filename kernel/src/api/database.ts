import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { checkDatabase } from '../database/backup/check.js';
import { dumpTo } from '../database/backup/dump.js';
import type { Database } from '../database/index.js';
import type { KernelRoute } from '../http/kernel-route.js';

/** `/api/v1/database`: what can be done with the database while the server runs. */
export function databaseApi(database: Database, dataDir: string): KernelRoute[] {
  const common = { tag: 'database', permission: 'database.manage' as const };
  return [
    {
      ...common,
      method: 'GET',
      path: '/api/v1/database',
      summary: 'Engine, migrations, tables, and what does not fit together; reads everything',
      handle: () => checkDatabase(database),
    },
    {
      ...common,
      method: 'GET',
      path: '/api/v1/database/backup',
      summary: 'A backup of everything, for `atoll db restore`',
      contentType: 'application/gzip',
      handle: async (_, ctx) => {
        // To a file first: a slow client must not hold the database.
        const folder = path.join(dataDir, 'backups');
        await mkdir(folder, { recursive: true, mode: 0o700 });
        const file = path.join(folder, `${randomUUID()}.part.gz`);
        await dumpTo(database, file);
        ctx.type = 'application/gzip';
        ctx.length = (await stat(file)).size;
        ctx.set(
          'content-disposition',
          `attachment; filename="atoll-${new Date().toISOString().slice(0, 10)}.backup.gz"`,
        );
        const content = createReadStream(file);
        content.once('close', () => void rm(file, { force: true }));
        ctx.body = content;
      },
    },
  ];
}
