import { watch } from 'node:fs';
import path from 'node:path';
import { type PluginFolder, packPlugin, readPluginFolder } from '@atoll/registry';
import { change, request, type ServerOptions, upload } from './client.js';
import { CliError, EXIT, toCliError } from './errors.js';
import { followLogs } from './logs.js';
import { carryOut } from './marketplace-install.js';
import type { Output } from './output.js';
import { listPlugins } from './plugin-list.js';
import { MARKETPLACE, pluginAt, versionAt } from './server-paths.js';
import { keyToSign, type SigningFlags } from './signed-package.js';

export interface RemoteDevFlags extends SigningFlags {
  /** Agrees to what the plugin asks for. */
  yes?: boolean;
}

const QUIET_MS = 100;
/** What a plugin is not made of, relative to its folder. */
const IGNORED = /(^|[\\/])(node_modules|dist|\.[^\\/]+)([\\/]|$)/;

/**
 * A plugin's folder on a running server: each save is published as a pre-release of its own and swapped in. In the end the version that
 * ran before is back, or none when there was none, and the pre-releases are gone.
 */
export class RemoteDev {
  readonly #published: string[] = [];
  /** What ran on the server before. */
  #before: string | undefined;
  #id = '';
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly out: Output,
    private readonly server: ServerOptions,
    private readonly folder: string,
    private readonly flags: RemoteDevFlags,
  ) {}

  /** Until the signal aborts; then all is as it was. Rejects when the first version does not come up. */
  async run(signal: AbortSignal): Promise<void> {
    this.#id = (await readPluginFolder(this.folder)).manifest.id;
    this.#before = (await listPlugins(this.server)).find(({ id }) => id === this.#id)?.version;
    if (this.#before !== undefined) await this.#assertCanGoBack(this.#before);
    // From here on, so that what is saved while the first version comes up is not lost.
    const stopWatching = this.#watch();
    try {
      const first = this.#update();
      this.#running = first.catch(() => {});
      await first;
      await followLogs(this.out, this.server, pluginAt(this.#id), signal);
    } finally {
      stopWatching();
      await this.#running;
      await this.#leave();
    }
  }

  /** A version that the server has from a folder of its own could not be brought back. */
  async #assertCanGoBack(version: string): Promise<void> {
    const known = await request(this.server, 'GET', versionAt(this.#id, version)).then(
      () => true,
      () => false,
    );
    if (known) return;
    throw new CliError(
      `${this.#id}@${version} is not in the registry of the server: it comes from a folder there.`,
      EXIT.FAILURE,
      {
        hint: 'Give the plugin another id while you develop it, or work on that server.',
      },
    );
  }

  /** Each change of the folder is brought to the server. Returns the undo. */
  #watch(): () => void {
    let timer: NodeJS.Timeout | undefined;
    const watcher = watch(path.resolve(this.folder), { recursive: true }, (_, file) => {
      if (file !== null && IGNORED.test(file)) return;
      clearTimeout(timer);
      timer = setTimeout(() => this.#again(), QUIET_MS);
    });
    return () => {
      clearTimeout(timer);
      watcher.close();
    };
  }

  /** One after the other; what does not build or start leaves the version before running. */
  #again(): void {
    this.#running = this.#running
      .then(() => this.#update())
      .catch((error: unknown) => {
        const { message } = toCliError(error);
        this.out.line({ id: this.#id, error: message }, `✗ ${this.#id} keeps running as it was: ${message}`);
      });
  }

  async #update(): Promise<void> {
    const began = performance.now();
    const plugin = asDevVersion(await readPluginFolder(this.folder));
    const { id, version } = plugin.manifest;
    if (id !== this.#id) throw new CliError(`The folder now holds the plugin "${id}".`, EXIT.FAILURE);
    const key = keyToSign(this.flags);
    const { bytes } = await packPlugin(plugin, { ...(key && { key }) });
    const query = new URLSearchParams({ backport: 'true', channel: 'next' });
    await upload(this.server, 'POST', `${MARKETPLACE}/publish?${query}`, new Uint8Array(bytes));
    this.#published.push(version);
    const runs = (await listPlugins(this.server)).some((one) => one.id === id);
    const target = runs ? `${pluginAt(id)}/upgrade` : `${MARKETPLACE}/${encodeURIComponent(id)}/install`;
    const { yes = false } = this.flags;
    await carryOut(this.out, this.server, { target, id, range: version, rehearse: runs ? false : undefined }, { yes });
    const ms = Math.round(performance.now() - began);
    this.out.line({ id, version, ms }, `↻ ${id}@${version} runs (${ms} ms)`);
  }

  async #leave(): Promise<void> {
    const id = this.#id;
    const current = (await listPlugins(this.server)).find((one) => one.id === id)?.version;
    if (current !== undefined && this.#published.includes(current)) {
      if (this.#before === undefined) await change(this.server, 'DELETE', pluginAt(id));
      else await change(this.server, 'POST', `${pluginAt(id)}/rollback`, { version: this.#before });
    }
    for (const version of this.#published) await request(this.server, 'DELETE', versionAt(id, version));
    const told = this.#before === undefined ? `${id} is removed again.` : `${id}@${this.#before} runs again.`;
    this.out.line({ id, version: this.#before ?? null }, told);
  }
}

/** `1.2.0` → `1.2.0-dev.<now>`: later than the last one, whoever made that. */
function asDevVersion(folder: PluginFolder): PluginFolder {
  const version = `${folder.manifest.version.replace(/[-+].*$/, '')}-dev.${Date.now()}`;
  return {
    ...folder,
    manifest: { ...folder.manifest, version },
    packageJson: { ...folder.packageJson, version },
  };
}
