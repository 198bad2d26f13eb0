import { AtollError } from '@atoll/plugin-sdk/contract';
import { newTraceparent } from '../telemetry/trace.js';
import type { PluginInstance } from './instance.js';

const MAX_STATE_BYTES = 4_194_304;
/** Calls wait meanwhile, so it must not take long, in ms. */
const TIMEOUT_MS = 5_000;
/** What has begun may still change the state: most of it ends within this time, in ms. */
const QUIET_MS = 200;

/**
 * Hands the state of the running version to the one that is to take over, if both know how. The running one must be paused. Rejects
 * with PLUGIN_HANDOFF_FAILED; it can go on then, for giving is not leaving.
 */
export async function handOver(from: PluginInstance, to: PluginInstance): Promise<void> {
  if (!from.handoff?.gives || !to.handoff?.receives) return;
  await from.drain(QUIET_MS);
  const state = await step(from, 'give', () => take(from));
  const meta = { m: 'receive', version: from.handoff.version };
  await step(to, 'receive', () => to.call({ meta, body: state, timeoutMs: TIMEOUT_MS, traceparent: newTraceparent() }));
  from.handedOverTo(to);
}

async function take(from: PluginInstance): Promise<string> {
  const { body } = await from.call({ meta: { m: 'give' }, timeoutMs: TIMEOUT_MS, traceparent: newTraceparent() });
  if (body !== undefined && body.length > MAX_STATE_BYTES)
    throw new AtollError(
      'PLUGIN_BAD_RESPONSE',
      `its state has ${body.length} bytes, at most ${MAX_STATE_BYTES} can be given`,
    );
  return body?.toString() ?? 'null';
}

async function step<T>({ manifest }: PluginInstance, what: 'give' | 'receive', run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new AtollError(
      'PLUGIN_HANDOFF_FAILED',
      `${manifest.id}@${manifest.version} could not ${what} its state: ${why}`,
    );
  }
}
