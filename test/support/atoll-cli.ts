import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../plugin-sdk/dist-host/cli/main.js', import.meta.url));

export interface CliResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the compiled `atoll` command in a folder, which also serves as the user's home. */
export async function atoll(
  cwd: string,
  args: readonly string[],
  env: Record<string, string> = {},
  /** Standard input. */
  input?: string,
): Promise<CliResult> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd,
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      HOME: path.join(cwd, 'home'),
      ATOLL_DATA_DIR: path.join(cwd, 'data'),
      ...env,
    },
  });
  const printed = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (printed.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (printed.stderr += chunk.toString()));
  if (input !== undefined) child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number];
  return { code, ...printed };
}

/** What it printed as JSON. */
export async function atollJson<T>(cwd: string, args: readonly string[], env?: Record<string, string>): Promise<T> {
  const { code, stdout, stderr } = await atoll(cwd, [...args, '--json'], env);
  if (code !== 0) throw new Error(`atoll ${args.join(' ')} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as T;
}
