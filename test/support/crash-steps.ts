/*
 * Preloaded into a kernel process (`--import`): after SIGUSR2 it counts each step that leaves a trace outside the process' memory
 * (before and after calls to the file system, queries, and writes to sockets, among them the frames to cells), and at step
 * CRASH_AT the process kills itself. A second SIGUSR2 prints how many steps there were.
 */
import fsp from 'node:fs/promises';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { Socket } from 'node:net';
import { isMainThread } from 'node:worker_threads';

const crashAt = Number(process.env.CRASH_AT ?? 0);
let steps: number | undefined;

function step(): void {
  if (steps !== undefined && ++steps === crashAt) process.kill(process.pid, 'SIGKILL');
}

type Method = (...args: unknown[]) => unknown;

/** Counts before the call, and when what it promises has come. */
function counted(method: Method): Method {
  return function (this: unknown, ...args: unknown[]) {
    step();
    const result = method.apply(this, args);
    if (result instanceof Promise) return result.finally(step);
    step();
    return result;
  };
}

function count(target: object, names: readonly string[]): void {
  const methods = target as Record<string, Method>;
  for (const name of names) methods[name] = counted(methods[name]!);
}

if (isMainThread) {
  const { Client } = createRequire(import.meta.url)('pg') as { Client: { prototype: object } };
  count(Client.prototype, ['query']);
  count(fsp, ['open', 'rename', 'rm', 'mkdir', 'writeFile']);
  count(Socket.prototype, ['write']);
  syncBuiltinESMExports();
  process.on('SIGUSR2', () => {
    if (steps === undefined) steps = 0;
    else process.stdout.write(`steps: ${steps}\n`);
  });
}
