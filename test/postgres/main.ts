import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { usePostgres, useRedis } from './servers.js';

/* Runs the suites that need a database on PostgreSQL and Redis. Further arguments go to vitest. */

const root = fileURLToPath(new URL('../../', import.meta.url));
const config = fileURLToPath(new URL('./vitest.config.ts', import.meta.url));

async function main(): Promise<number> {
  const servers = [
    await usePostgres(process.env.TEST_DATABASE_URL),
    await useRedis(process.env.TEST_REDIS_URL),
  ] as const;
  const [postgres, redis] = servers;
  process.stdout.write(`PostgreSQL: ${postgres.what}\nRedis: ${redis.what}\n`);
  try {
    return await vitest({ TEST_DATABASE_URL: postgres.url, TEST_REDIS_URL: redis.url });
  } finally {
    for (const server of servers) await server.stop();
  }
}

function vitest(env: Record<string, string>): Promise<number> {
  const file = path.join(root, 'node_modules/vitest/vitest.mjs');
  const args = [file, 'run', '--config', config, ...process.argv.slice(2)];
  const child = spawn(process.execPath, args, { stdio: 'inherit', cwd: root, env: { ...process.env, ...env } });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}

main().then(
  (code) => process.exit(code),
  (error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  },
);
