import { createHash } from 'node:crypto';
import type { PluginPackage } from '../package/read-package.js';

/** The document that npm registries take for a new version: its package.json, and the tarball as an attachment. */
export function publishDocument(tarball: Buffer, read: PluginPackage, tag: string, registry: string): object {
  const { name, version } = read.manifest;
  const file = `${name}-${version}.tgz`;
  const dist = {
    integrity: read.integrity,
    // What registries of old compare with.
    shasum: createHash('sha1').update(tarball).digest('hex'),
    tarball: new URL(`${name}/-/${file}`, registry).href,
  };
  return {
    _id: name,
    name,
    ...(typeof read.packageJson.description === 'string' && { description: read.packageJson.description }),
    'dist-tags': { [tag]: version },
    versions: { [version]: { ...read.packageJson, _id: `${name}@${version}`, readme: read.readme ?? '', dist } },
    _attachments: {
      [file]: { content_type: 'application/octet-stream', data: tarball.toString('base64'), length: tarball.length },
    },
  };
}
