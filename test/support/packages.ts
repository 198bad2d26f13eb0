import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { Header, type HeaderData } from 'tar';
import { type PluginFolder, readPluginFolder } from '../../registry/src/folder.js';
import { type PackedPlugin, packPlugin } from '../../registry/src/package/pack.js';
import { generateSigningKey, readSigningKey, type SigningKey } from '../../registry/src/package/publisher-key.js';

export const newKey = (): SigningKey => readSigningKey(generateSigningKey());

export interface SamplePlugin {
  id: string;
  version?: string;
  name?: string;
  /** Further members of the `atoll` field. */
  atoll?: object;
  /** Further members of package.json. */
  packageJson?: object;
  /** Further files; they replace the default ones. */
  files?: Record<string, string>;
}

/** Writes a plugin's sources into a folder below `root`. */
export async function writePlugin(root: string, sample: SamplePlugin): Promise<PluginFolder> {
  const { id, version = '1.0.0', name = `atoll-plugin-${id}`, atoll = {}, packageJson = {}, files = {} } = sample;
  const dir = path.join(root, `${id}-${version}`);
  const manifest = { name, version, license: 'MIT', ...packageJson, atoll: { id, engine: '^1.0.0', ...atoll } };
  const all = {
    'package.json': JSON.stringify(manifest),
    'src/index.ts': `export default { id: ${JSON.stringify(`${id}@${version}`)} };`,
    'README.md': `# ${id}\n`,
    ...files,
  };
  for (const [file, text] of Object.entries(all)) {
    await mkdir(path.dirname(path.join(dir, file)), { recursive: true });
    await writeFile(path.join(dir, file), text);
  }
  return readPluginFolder(dir);
}

export async function packSample(root: string, sample: SamplePlugin, key?: SigningKey): Promise<PackedPlugin> {
  return packPlugin(await writePlugin(root, sample), { ...(key && { key }) });
}

export interface TarEntry extends Omit<HeaderData, 'size'> {
  path: string;
  content?: Buffer | string;
}

/** A tarball of any entries, also ones that no honest packer writes. */
export function tarballOf(entries: readonly TarEntry[]): Buffer {
  const blocks = entries.flatMap(({ content = '', ...data }) => {
    const body = Buffer.from(content);
    const header = new Header({ mode: 0o644, type: 'File', ...data, size: body.length });
    const block = Buffer.alloc(512);
    header.encode(block, 0);
    return [block, body, Buffer.alloc((512 - (body.length % 512)) % 512)];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}

/** The entries of a tarball that `atoll pack` wrote. */
export function entriesOf(tarball: Buffer): TarEntry[] {
  const archive = gunzipSync(tarball);
  const entries: TarEntry[] = [];
  for (let at = 0; at < archive.length; ) {
    const header = new Header(archive, at);
    if (header.nullBlock || header.path === undefined) break;
    const size = header.size ?? 0;
    entries.push({ path: header.path, content: archive.subarray(at + 512, at + 512 + size) });
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return entries;
}
