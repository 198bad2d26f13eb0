import type { GraphNode, PluginFolder, PluginManifest } from '@atoll/registry';
import type { Canary } from './canary/canary.js';
import type { CanaryView } from './canary/canary-view.js';
import type { CrashPolicy } from './crash-policy.js';
import type { PluginInstance } from './instance.js';
import type { Turns } from '../turns.js';
import type { LogRing } from './log-ring.js';
import type { Following, PluginInfo, PluginState } from './types.js';

/** What the manager knows of one installed plugin. */
export interface PluginRecord {
  folder: PluginFolder;
  origin: 'first-party' | 'third-party';
  desired: 'enabled' | 'disabled';
  state: PluginState;
  reason?: string;
  instance?: PluginInstance;
  /** Values set through the API. */
  storedConfig?: Record<string, unknown>;
  /** The generation of the installation that its desired state is of. */
  generation?: number;
  readonly crashes: CrashPolicy;
  readonly logs: LogRing;
  /** Versions that were swapped out and still finish what they had begun. */
  readonly retiring: Set<PluginInstance>;
  restarts: number;
  startMs?: number;
  /** After a crash whose culprit is unknown: it may be this one, so it gets a cell of its own. */
  solo: boolean;
  /** A version that is tried beside the running one. */
  canary?: Canary;
  /** How the latest one stands, or ended. */
  lastCanary?: CanaryView;
  following: Following;
  /** A restart that waits out its delay, or is under way. */
  restart?: NodeJS.Timeout;
  /** Exchanges of its running version, one after the other. */
  readonly exchanges: Turns;
}

export const manifestOf = (record: PluginRecord): PluginManifest => record.folder.manifest;

/** For planning: what can't be counted on says why. */
export function toNode(record: PluginRecord): GraphNode {
  const manifest = manifestOf(record);
  if (record.state === 'failed') return { ...manifest, outOfAction: 'has failed' };
  return record.state === 'quarantined' ? { ...manifest, outOfAction: 'is quarantined' } : manifest;
}

export function toInfo(record: PluginRecord): PluginInfo {
  const { manifest } = record.folder;
  const { instance } = record;
  return {
    id: manifest.id,
    version: instance?.manifest.version ?? manifest.version,
    title: manifest.title,
    category: manifest.category,
    ...(manifest.description !== undefined && { description: manifest.description }),
    state: record.state,
    ...(record.reason !== undefined && { reason: record.reason }),
    desired: record.desired,
    origin: record.origin,
    mounts: manifest.mounts,
    permissions: manifest.permissions as Record<string, unknown>,
    ...(instance && instance.permits.granted !== instance.manifest && { granted: { ...instance.permits.set } }),
    provides: manifest.provides,
    consumes: manifest.consumes,
    dependencies: manifest.dependencies,
    effects: effectsOf(instance),
    ...(instance?.isolate && { resources: resourcesOf(instance) }),
    ...(record.retiring.size > 0 && {
      retiring: [...record.retiring].map(({ manifest: { version }, isolate }) => ({
        version,
        callsInFlight: isolate?.client.inFlight ?? 0,
      })),
    }),
    ...((record.canary ?? record.lastCanary) && { canary: record.canary?.view() ?? record.lastCanary! }),
    ...record.following,
    restarts: record.restarts,
    ...(instance && { startedAt: instance.startedAt.toISOString() }),
    ...(record.startMs !== undefined && { startMs: record.startMs }),
  };
}

function effectsOf(instance: PluginInstance | undefined): PluginInfo['effects'] {
  if (!instance) return [];
  const effects: PluginInfo['effects'] = [...instance.effects].map((effect) => ({
    kind: effect.kind,
    label: effect.label,
    ...(instance.effects.rests(effect) && { suspended: true as const }),
  }));
  for (const syscall of instance.isolate?.client.syscalls ?? []) {
    if (syscall.method === 'net.fetch')
      effects.push({
        kind: 'fetch',
        label: String((syscall.meta.a as { url?: string } | undefined)?.url ?? '').slice(0, 200),
      });
  }
  const timers = instance.isolate?.report?.timers ?? 0;
  if (timers > 0) effects.push({ kind: 'timer', label: `${timers} timers` });
  return effects;
}

function resourcesOf(instance: PluginInstance): PluginInfo['resources'] {
  const { client, report, cell } = instance.isolate!;
  return {
    heapBytes: report?.heapBytes ?? 0,
    externalBytes: report?.externalBytes ?? 0,
    cpuMs: report?.cpuMs ?? 0,
    callsInFlight: client.inFlight,
    calls: client.total,
    errors: client.errors,
    ...(cell.pid !== undefined && { cellPid: cell.pid }),
  };
}
