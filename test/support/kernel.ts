import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../kernel/dist/main.js', import.meta.url));

export interface TestKernel {
  url: string;
  key: string;
  process: ChildProcess;
  /** Everything it printed. */
  output(): string;
  /** A request with the root key. */
  call(path: string, init?: RequestInit): Promise<Response>;
  /** SIGTERM, and the exit code. */
  stop(): Promise<number | null>;
}

/** Starts the real product as a process of its own, on a free port with a fresh data directory. */
export async function startTestKernel(
  options: {
    env?: Record<string, string>;
    pluginPath?: string[];
    /** It has only just been started. */
    onSpawn?: (child: ChildProcess) => void;
  } = {},
): Promise<TestKernel> {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'atoll-data-'));
  shareBundles(options.env?.ATOLL_DATA_DIR ?? dataDir);
  const key = 'test-root-key-0123456789';
  const child = spawn(process.execPath, [MAIN], {
    env: {
      PATH: process.env.PATH ?? '',
      // As the launcher sets them.
      MALLOC_MMAP_THRESHOLD_: '131072',
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? '',
      ATOLL_PORT: '0',
      ATOLL_DATA_DIR: dataDir,
      ATOLL_ADMIN_KEY: key,
      ATOLL_PLUGIN_PATH: (options.pluginPath ?? []).join(':'),
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  options.onSpawn?.(child);
  let output = '';
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const url = await new Promise<string>((resolve, reject) => {
    const onData = (data: Buffer) => {
      output += data.toString();
      const found = /^Atoll {2}(\S+)/m.exec(output)?.[1];
      if (found) resolve(found);
    };
    child.stdout?.on('data', onData);
    child.stderr?.on('data', onData);
    void exited.then((code) => reject(new Error(`The kernel ended with ${code}:\n${output}`)));
  });
  return {
    url,
    key,
    process: child,
    output: () => output,
    call: (target, init = {}) =>
      fetch(`${url}${target}`, { ...init, headers: { authorization: `Bearer ${key}`, ...(init.headers as object) } }),
    stop: async () => {
      child.kill('SIGTERM');
      const code = await exited;
      rmSync(dataDir, { recursive: true, force: true });
      return code;
    },
  };
}

/** The bundles of first-party plugins are made once for all kernels of a test run. They are checked against their sources as always. */
function shareBundles(dataDir: string): void {
  const [shared, own] = [process.env.ATOLL_TEST_BUNDLES, path.join(dataDir, 'cache/bundles')];
  if (shared === undefined || existsSync(own)) return;
  mkdirSync(path.dirname(own), { recursive: true, mode: 0o700 });
  symlinkSync(shared, own);
}
