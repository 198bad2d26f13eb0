import { SourceMap, type SourceMapPayload } from 'node:module';
import { gunzipSync, gzipSync } from 'node:zlib';

/** It is large, and what asks for it comes in bursts, if at all. */
const KEEP_MS = 10_000;

/** The source map of one plugin's bundle: packed while nobody needs it, and taken apart once for all who do in a while. */
export class PluginSourceMap {
  readonly #packed: Buffer;
  #parsed: SourceMap | undefined;
  #forget: NodeJS.Timeout | undefined;

  constructor(
    private readonly plugin: string,
    /** JSON. */
    map: string,
  ) {
    this.#packed = gzipSync(map);
  }

  /** A message that holds a stack, with that one mapped; any other stays as it is. */
  mapMessage(message: string): string {
    return message.includes(`plugin:${this.plugin}:`) ? this.mapStack(message) : message;
  }

  /** Replaces positions in the bundle by those in the author's files. */
  mapStack(stack: string): string {
    const position = new RegExp(`plugin:${this.plugin}:(\\d+):(\\d+)`, 'g');
    const mapped = stack.replace(position, (text, line: string, column: string) => {
      const entry = this.#map()?.findEntry(Number(line) - 1, Number(column) - 1);
      return entry && 'originalSource' in entry
        ? `${entry.originalSource}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
        : text;
    });
    // The runtime's own frames say nothing to a plugin's author.
    return mapped
      .split('\n')
      .filter((line) => !/atoll:prelude|<isolated-vm/.test(line))
      .join('\n');
  }

  #map(): SourceMap | undefined {
    clearTimeout(this.#forget);
    this.#forget = setTimeout(() => {
      this.#parsed = undefined;
    }, KEEP_MS).unref();
    try {
      this.#parsed ??= new SourceMap(JSON.parse(gunzipSync(this.#packed).toString('utf8')) as SourceMapPayload);
    } catch {
      // A stack in the bundle's own positions is better than none.
    }
    return this.#parsed;
  }
}
