import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const RUN = fileURLToPath(new URL('./servers/run.ts', import.meta.url));

/** A server in a process of its own. */
export interface ServerProcess extends AsyncDisposable {
  url: string;
}

/** Starts one of `servers/`; it prints its URL when it listens. */
export async function startServer(name: 'bare' | 'koa' | 'ticker'): Promise<ServerProcess> {
  const child = spawn(process.execPath, [RUN, name], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const [first] = (await Promise.race([once(child.stdout, 'data'), exited])) as [Buffer | number | null];
  if (!Buffer.isBuffer(first)) throw new Error(`The ${name} server ended with ${first}.`);
  return {
    url: first.toString().trim(),
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await exited;
    },
  };
}
