import { cp, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newKey, packSample, writePlugin } from '../../../test/support/packages.js';
import { readPluginFolder } from '../folder.js';
import { packPlugin } from './pack.js';
import { readPackage } from './read-package.js';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'atoll-pack-'));
});
afterEach(() => rm(root, { recursive: true }));

/** Two packages that a plugin bundles: one hoisted above it and of the old kind, one beside it. */
async function withDependencies() {
  const files = {
    'src/index.ts': 'import old from "old-lib"; import { fresh } from "@scope/fresh"; export default { old, fresh };',
    'node_modules/@scope/fresh/package.json': JSON.stringify({
      name: '@scope/fresh',
      version: '2.0.0-rc.1',
      type: 'module',
      main: 'lib/index.js',
      license: 'MIT OR Apache-2.0',
    }),
    'node_modules/@scope/fresh/lib/package.json': '{"type":"module"}',
    'node_modules/@scope/fresh/lib/index.js': 'export const fresh = () => 1; export const unused = () => 2;',
    'node_modules/@scope/fresh/LICENSE-MIT': 'The text of a licence.',
    'icon.svg': '<svg xmlns="http://www.w3.org/2000/svg"/>',
    LICENSE: 'MIT',
    'src/secret.txt': 'not for others',
    '.env': 'KEY=1',
  };
  await mkdir(path.join(root, 'node_modules/old-lib'), { recursive: true });
  const old = { name: 'old-lib', version: '0.1.0', licenses: [{ type: 'Custom terms' }] };
  await writeFile(path.join(root, 'node_modules/old-lib/package.json'), JSON.stringify(old));
  await writeFile(path.join(root, 'node_modules/old-lib/index.js'), 'exports.value = 7;');
  return writePlugin(path.join(root, 'plugins'), {
    id: 'sample',
    files,
    packageJson: {
      private: true,
      scripts: { postinstall: 'touch /tmp/never' },
      dependencies: { 'old-lib': '*' },
      description: 'A sample',
    },
  });
}

describe('a package', () => {
  it('holds the bundle and what people need, and nothing else of the folder', async () => {
    const { bytes, files } = await packPlugin(await withDependencies(), { key: newKey() });
    expect(Object.keys(files)).toEqual([
      'LICENSE',
      'README.md',
      'THIRD-PARTY-LICENSES.txt',
      'atoll.dsse.json',
      'dist/plugin.js',
      'dist/plugin.js.map',
      'icon.svg',
      'package.json',
      'sbom.cdx.json',
    ]);
    const read = await readPackage(bytes);
    expect(read.code).toContain('__atollPlugin');
    expect(JSON.parse(read.map)).toHaveProperty('mappings');
    expect(read).toMatchObject({ readme: '# sample\n', icon: { file: 'icon.svg' } });
    expect(read.packageJson).toMatchObject({ description: 'A sample', license: 'MIT', keywords: ['atoll-plugin'] });
    for (const key of ['scripts', 'dependencies', 'private']) expect(read.packageJson).not.toHaveProperty(key);
    expect(read.manifest).toMatchObject({ id: 'sample', entry: 'dist/plugin.js' });
    for (const content of read.files.values()) expect(content.toString()).not.toContain(root);
  });

  it('has the same bytes wherever and whenever it is packed', async () => {
    const key = newKey();
    const folder = await withDependencies();
    await writeFile(path.join(root, 'tsconfig.json'), '{"compilerOptions":{"strict":true,"jsx":"react"}}');
    const first = await packPlugin(folder, { key });
    const elsewhere = path.join(root, 'some/where/much/deeper');
    await mkdir(path.join(elsewhere, 'x/y'), { recursive: true });
    await cp(path.join(root, 'node_modules'), path.join(elsewhere, 'node_modules'), { recursive: true });
    await cp(folder.dir, path.join(elsewhere, 'x/y/z'), { recursive: true });
    await utimes(path.join(elsewhere, 'x/y/z/README.md'), 1, 1);
    const second = await packPlugin(await readPluginFolder(path.join(elsewhere, 'x/y/z')), { key });
    expect(second.integrity).toBe(first.integrity);
    expect(second.bytes.equals(first.bytes)).toBe(true);
  });

  it('names what was bundled in a valid CycloneDX bill of materials', async () => {
    const { bytes } = await packPlugin(await withDependencies());
    const text = (await readPackage(bytes)).files.get('sbom.cdx.json')!.toString();
    // Without its optional schema checker the library would find everything valid.
    expect(createRequire(import.meta.url).resolve('ajv-formats-draft2019')).toBeTruthy();
    const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
    expect(await validator.validate(text)).toBeNull();
    expect(await validator.validate(text.replace('"bomFormat"', '"bomForm"'))).not.toBeNull();
    const { components, dependencies, metadata } = JSON.parse(text) as Record<string, unknown>;
    expect(metadata).toMatchObject({ component: { name: 'atoll-plugin-sample', version: '1.0.0' } });
    expect(components).toMatchObject([
      {
        group: '@scope',
        name: 'fresh',
        purl: 'pkg:npm/%40scope/fresh@2.0.0-rc.1',
        licenses: [{ expression: 'MIT OR Apache-2.0' }],
      },
      { name: 'old-lib', version: '0.1.0', licenses: [{ license: { name: 'Custom terms' } }] },
    ]);
    expect(dependencies).toContainEqual({
      ref: 'pkg:npm/atoll-plugin-sample@1.0.0',
      dependsOn: ['pkg:npm/%40scope/fresh@2.0.0-rc.1', 'pkg:npm/old-lib@0.1.0'],
    });
  });

  it('lists the licences of what was bundled', async () => {
    const { bytes } = await packPlugin(await withDependencies());
    const text = (await readPackage(bytes)).files.get('THIRD-PARTY-LICENSES.txt')!.toString();
    expect(text).toContain('@scope/fresh@2.0.0-rc.1: MIT OR Apache-2.0\nold-lib@0.1.0: Custom terms\n');
    expect(text).toContain('The text of a licence.');
  });

  it('names the SDK where it is part of the code', async () => {
    const files = {
      'src/index.ts': 'import { definePlugin } from "@atoll/plugin-sdk"; export default definePlugin(() => {});',
    };
    const { bytes } = await packSample(root, { id: 'sample', files });
    const text = (await readPackage(bytes)).files.get('sbom.cdx.json')!.toString();
    expect(text).toContain('pkg:npm/%40atoll/plugin-sdk@');
  });

  it('does not take in a document that is a link to somewhere else', async () => {
    const folder = await writePlugin(root, { id: 'sample' });
    await symlink('/etc/hostname', path.join(folder.dir, 'LICENSE'));
    await expect(packPlugin(folder)).rejects.toMatchObject({ code: 'PACKAGE_INVALID' });
  });

  it('is refused when it grows too large', async () => {
    const folder = await writePlugin(root, { id: 'sample', files: { 'README.md': 'x'.repeat(2_000_000) } });
    await expect(packPlugin(folder)).rejects.toMatchObject({ code: 'PACKAGE_TOO_LARGE' });
  });
});
