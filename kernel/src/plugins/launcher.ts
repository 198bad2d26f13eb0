import { AtollError, type Principal } from '@atoll/plugin-sdk/contract';
import { bundlePlugin, type PluginFolder, type PluginManifest } from '@atoll/registry';
import type { Config } from '../config/index.js';
import type { IsolateFate, Supervisor } from '../sandbox/host/supervisor.js';
import { SOLO_PREFIX } from '../sandbox/host/cell-pool.js';
import type { SyscallTable } from '../syscalls/table.js';
import { newTraceparent } from '../telemetry/trace.js';
import type { PluginInstance } from './instance.js';
import { netParser } from './permissions/net-parser.js';
import type { PermissionDesk } from './permissions/permission-desk.js';
import type { Permits } from './permissions/permits.js';
import type { Recordings } from './rehearsal/recordings.js';
import type { PluginRecord } from './record.js';
import { PluginSourceMap } from './source-map.js';
import type { PluginLogLine } from './types.js';

export interface LauncherDeps {
  config: Config;
  supervisor: Supervisor;
  syscalls: SyscallTable<PluginInstance>;
  /** Makes an instance, with a scope of its own. */
  newInstance: (manifest: PluginManifest, permits: Permits) => PluginInstance;
  permissions: PermissionDesk;
  recordings: Recordings;
  cacheDir: string;
  /** Start of a manual clock in the guest, epoch ms; for tests. */
  clockStart?: number;
  onLog: (record: PluginRecord, line: PluginLogLine) => void;
  onMetric: (plugin: string, metric: unknown) => void;
  onEnd: (record: PluginRecord, instance: PluginInstance, fate: IsolateFate) => void;
  onEvict: (record: PluginRecord, instance: PluginInstance) => void;
}

/** Brings one version of a plugin up, beside whatever runs already: bundle → isolate → setup → health. */
export class PluginLauncher {
  constructor(private readonly deps: LauncherDeps) {}

  /** Rejects with an AtollError; nothing of the candidate is left then. */
  async launch(
    record: PluginRecord,
    folder: PluginFolder,
    config: Record<string, unknown>,
    { alone = false }: { alone?: boolean } = {},
  ): Promise<PluginInstance> {
    const { manifest } = folder;
    const { code, map } = await bundlePlugin(folder, { cacheDir: this.deps.cacheDir });
    const sourceMap = new PluginSourceMap(manifest.id, map);
    const instance = this.deps.newInstance(manifest, this.#permits(folder, config));
    try {
      const group = alone ? `${SOLO_PREFIX}${manifest.id}@canary` : this.#group(record);
      await this.#startIsolate(record, instance, { code, sourceMap, group });
      const { clockStart: now } = this.deps;
      if (now !== undefined)
        await instance.call({ meta: { m: 'clock', now }, timeoutMs: 5_000, traceparent: newTraceparent() });
      this.deps.recordings.begin(instance, config);
      await instance.setup(config, this.deps.config.sandbox.startTimeoutMs);
      assertProvides(instance);
      return instance;
    } catch (error) {
      await instance.stop();
      throw asStartError(error);
    }
  }

  async #startIsolate(
    record: PluginRecord,
    instance: PluginInstance,
    { code, sourceMap, group }: { code: string; sourceMap: PluginSourceMap; group: string },
  ): Promise<void> {
    const { supervisor } = this.deps;
    const { manifest } = instance;
    const isolate = await supervisor.start({
      name: manifest.id,
      group,
      apart: record.instance !== undefined,
      code,
      memoryMb: Math.min(manifest.limits.memoryMb, this.deps.config.sandbox.maxMemoryMb),
      timeoutMs: manifest.limits.timeoutMs,
      concurrency: manifest.limits.concurrency,
      principal: pluginPrincipal(manifest.id),
      traceparent: newTraceparent,
      onSyscall: (syscall) => {
        if (instance.recorder) instance.recorder.hostCall(syscall);
        void this.deps.syscalls.dispatch(instance, syscall);
      },
      onEvent: (method, body) => this.#onEvent(record, sourceMap, method, body),
      onGuestError: (error, stack) => this.#onGuestError(record, sourceMap, error, stack),
      onEnd: (fate) => this.deps.onEnd(record, instance, fate),
      onEvict: () => this.deps.onEvict(record, instance),
    });
    instance.own(isolate, (ended) => supervisor.stop(ended));
  }

  #permits({ manifest }: PluginFolder, config: Record<string, unknown>): Permits {
    const narrow = this.deps.config.net.narrow[manifest.id];
    return this.deps.permissions.issue(manifest, netParser(manifest, config, narrow));
  }

  /** A publisher that nothing proves is its own: folders carry no signature, so each third-party plugin stands alone. */
  #group({ folder, origin, solo }: PluginRecord): string {
    const { id } = folder.manifest;
    if (solo) return `${SOLO_PREFIX}${id}`;
    const { grouping } = this.deps.config.sandbox;
    if (grouping === 'shared') return 'shared';
    return grouping === 'publisher' && origin === 'first-party' ? 'first-party' : `plugin:${id}`;
  }

  #onEvent(record: PluginRecord, sourceMap: PluginSourceMap, method: string, body: string): void {
    const data = parse(body);
    if (method === 'log') {
      const line = toLogLine(data);
      if (line) this.deps.onLog(record, withMappedStack(line, sourceMap));
    } else if (method === 'metric') this.deps.onMetric(record.folder.manifest.id, data);
  }

  #onGuestError(record: PluginRecord, sourceMap: PluginSourceMap, error: AtollError, stack: string | undefined): void {
    // What a plugin throws on purpose, with a code, is an answer and not a defect.
    if (error.code !== 'PLUGIN_ERROR' && error.code !== 'PLUGIN_BAD_RESPONSE') return;
    const mapped = stack && sourceMap.mapStack(stack);
    this.deps.onLog(record, {
      time: new Date().toISOString(),
      level: 'error',
      message: error.message,
      ...(mapped && { fields: { stack: mapped } }),
    });
  }
}

/** Who consumes a service is started when the manifest of an active plugin provides it: then it has to be there. */
function assertProvides({ manifest, effects }: PluginInstance): void {
  const provided = new Set([...effects].filter(({ kind }) => kind === 'service').map(({ label }) => label));
  const missing = Object.entries(manifest.provides).find(([name, version]) => !provided.has(`${name}@${version}`));
  if (missing)
    throw new AtollError('PLUGIN_START_FAILED', `The manifest provides "${missing[0]}", but its setup does not.`);
}

function pluginPrincipal(id: string): Principal {
  return { kind: 'plugin', id, roles: [] };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const LEVELS = new Set(['debug', 'info', 'warn', 'error']);

function toLogLine(data: unknown): PluginLogLine | undefined {
  const { level, message, fields } = (data ?? {}) as Partial<Record<'level' | 'message' | 'fields', unknown>>;
  if (typeof level !== 'string' || !LEVELS.has(level) || typeof message !== 'string') return undefined;
  const plain = typeof fields === 'object' && fields !== null ? (fields as Record<string, unknown>) : undefined;
  return {
    time: new Date().toISOString(),
    level: level as PluginLogLine['level'],
    message,
    ...(plain && { fields: plain }),
  };
}

function withMappedStack(line: PluginLogLine, sourceMap: PluginSourceMap): PluginLogLine {
  const message = sourceMap.mapMessage(line.message);
  const stack = line.fields?.stack;
  return typeof stack === 'string'
    ? { ...line, message, fields: { ...line.fields, stack: sourceMap.mapStack(stack) } }
    : { ...line, message };
}

function asStartError(error: unknown): AtollError {
  if (!(error instanceof AtollError)) return new AtollError('PLUGIN_START_FAILED', String(error));
  if (error.code === 'PLUGIN_TIMEOUT')
    return new AtollError('PLUGIN_START_FAILED', 'Its setup did not finish in time.');
  return error.code === 'PLUGIN_ERROR'
    ? new AtollError('PLUGIN_START_FAILED', `Its setup failed: ${error.message}`)
    : error;
}
