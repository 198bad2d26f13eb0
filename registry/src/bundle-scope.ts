import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { inPackages, nameIn, packageOf, within } from './package-paths.js';
import { readRegular } from './regular-file.js';

const require = createRequire(import.meta.url);
/** The compiled SDK of this installation, and its sources, to which its source maps lead. */
const SDK_DIST = path.dirname(require.resolve('@atoll/plugin-sdk'));
const SDK = path.dirname(SDK_DIST);
/** Folders of this installation that every plugin gets its imports from. */
const OWN = [SDK_DIST, packageOf(require.resolve('typebox'))!.root];

const MAX_PACKAGE_JSON_BYTES = 1_048_576;

/**
 * What may become part of one plugin's bundle: the files of its folder, and the packages that an import by name finds from there. The
 * bundler runs with the rights of the kernel and can import any file as text, so this is a wall of the sandbox: without it
 * `import key from '/…/root.key' with { type: 'text' }` would hand a plugin the root key. All paths are absolute and free of links.
 */
export class BundleScope {
  readonly #ancestors: readonly string[];
  /** Packages that lie elsewhere and were found by their name: folder → name. */
  readonly #linked = new Map<string, string>();
  readonly #packageJsons = new Map<string, Promise<Record<string, unknown> | undefined>>();

  constructor(readonly dir: string) {
    this.#ancestors = foldersUp(dir);
  }

  /** Whether a file is one of the SDK or TypeBox: known to be harmless, and most of what a bundle is made of. */
  isInstallations(file: string): boolean {
    return OWN.some((folder) => within(folder, file) !== undefined);
  }

  async mayRead(file: string): Promise<boolean> {
    const own = within(this.dir, file);
    if (own !== undefined) return isVisible(own);
    if (this.isInstallations(file)) return true;
    const linked = [...this.#linked.keys()].map((root) => within(root, file)).find((rest) => rest !== undefined);
    return (linked !== undefined && isVisible(linked)) || this.#isInstalled(file);
  }

  /** The folder that a relative import from another folder must not leave: that of the plugin, or of the package. */
  homeOf(folder: string): string {
    if (contains(this.dir, folder)) return this.dir;
    const roots = [...OWN, packageOf(path.join(folder, '_'))?.root, ...this.#linked.keys()];
    const fitting = roots.filter((root) => root !== undefined).filter((root) => contains(root, folder));
    return fitting.sort((a, b) => b.length - a.length)[0] ?? folder;
  }

  /** Lets the package in that an import by name finds from a folder, where node_modules has it or links to it. */
  async admit(specifier: string, from: string): Promise<void> {
    const name = nameIn(specifier);
    if (name === undefined) return;
    for (const folder of foldersUp(from)) {
      const entry = path.join(folder, 'node_modules', name);
      const root = await realpath(entry).catch(() => undefined);
      if (root !== undefined && (await this.#isPackage(root, { entry, name }))) this.#linked.set(root, name);
    }
  }

  /** A file's name in maps and messages: relative to the plugin, or as in an import. Nothing of this machine shows. */
  publicName(file: string): string {
    if (/^[a-z][a-z0-9+.-]+:/i.test(file)) return file;
    const absolute = path.resolve(this.dir, file);
    return within(this.dir, absolute) ?? this.#nameOutside(absolute);
  }

  #nameOutside(file: string): string {
    const sdk = within(SDK, file);
    if (sdk !== undefined) return `@atoll/plugin-sdk/${sdk}`;
    const installed = inPackages(file);
    if (installed !== undefined) return installed;
    const linked = [...this.#linked].find(([root]) => within(root, file) !== undefined);
    return linked ? `${linked[1]}/${within(linked[0], file)}` : `outside/${path.basename(file)}`;
  }

  /** Whether it belongs to a package in node_modules of the plugin's folder or of one above. Loose files there belong to none. */
  async #isInstalled(file: string): Promise<boolean> {
    const inTree = this.#ancestors
      .map((folder) => within(folder, file))
      .find((rest) => rest?.startsWith('node_modules/'));
    const home = packageOf(file);
    return (
      inTree !== undefined && home !== undefined && isVisible(inTree) && (await this.#nameOf(home.root)) !== undefined
    );
  }

  /**
   * Links are part of a plugin's folder and may be the work of its author, so they open only what is a package: one that lies in some
   * node_modules under its name (pnpm's stores), or a member of the workspace around the plugin.
   */
  async #isPackage(root: string, { entry, name }: { entry: string; name: string }): Promise<boolean> {
    const ownName = await this.#nameOf(root);
    if (ownName === undefined || contains(root, this.dir)) return false;
    if (root === entry) return true;
    const home = packageOf(path.join(root, '_'));
    if (home?.root === root) return home.name === ownName;
    return name === ownName && this.#isInWorkspace(root);
  }

  async #isInWorkspace(root: string): Promise<boolean> {
    for (const folder of this.#ancestors) {
      const rest = within(folder, root);
      if (rest === undefined || !isVisible(rest)) continue;
      const packageJson = await this.#packageJson(folder);
      if (packageJson?.workspaces !== undefined || existsSync(path.join(folder, 'pnpm-workspace.yaml'))) return true;
    }
    return false;
  }

  async #nameOf(root: string): Promise<string | undefined> {
    const name = (await this.#packageJson(root))?.name;
    return typeof name === 'string' ? name : undefined;
  }

  #packageJson(folder: string): Promise<Record<string, unknown> | undefined> {
    const known = this.#packageJsons.get(folder) ?? readPackageJson(folder);
    this.#packageJsons.set(folder, known);
    return known;
  }
}

async function readPackageJson(folder: string): Promise<Record<string, unknown> | undefined> {
  const text = await readRegular(path.join(folder, 'package.json'), MAX_PACKAGE_JSON_BYTES);
  try {
    return (JSON.parse(text ?? 'null') ?? undefined) as Record<string, unknown> | undefined;
  } catch {
    return undefined;
  }
}

const contains = (folder: string, file: string): boolean => folder === file || within(folder, file) !== undefined;

/** A folder and those above it. */
function foldersUp(folder: string): string[] {
  const above = path.dirname(folder);
  return above === folder ? [folder] : [folder, ...foldersUp(above)];
}

/** Nothing that starts with a dot is source (.env, .git, a data directory), but package managers keep packages below `node_modules/.x/`. */
function isVisible(file: string): boolean {
  const parts = file.split('/');
  const [first, last] = [parts.indexOf('node_modules'), parts.lastIndexOf('node_modules')];
  return parts.every((part, at) => !part.startsWith('.') || (first >= 0 && first < at && at < last));
}
