import { AtollError } from '@atoll/plugin-sdk/contract';
import { listPluginFolders, type PluginFolder } from '@atoll/registry';
import { engineProblem } from './fits.js';
import type { PluginManager } from './manager.js';

export interface InstallProblem {
  dir: string;
  error: AtollError;
}

export interface PluginOrigins {
  manager: PluginManager;
  firstParty: string | undefined;
  thirdParty: readonly string[];
  /** Installed versions of the registry; they take the place of the folders with the same id. */
  fromRegistry: { folders: PluginFolder[]; problems: InstallProblem[] };
}

/** Finds the plugins of the installation, of the operator's folders and of the registry. What is wrong is told, not thrown. */
export async function installPlugins({
  manager,
  firstParty,
  thirdParty,
  fromRegistry,
}: PluginOrigins): Promise<InstallProblem[]> {
  const problems: InstallProblem[] = [...fromRegistry.problems];
  const folders: { folder: PluginFolder; origin: 'first-party' | 'third-party' }[] = [];
  const replaced = new Set(fromRegistry.folders.map(({ manifest }) => manifest.id));
  const roots = [
    ...(firstParty ? [{ root: firstParty, origin: 'first-party' as const }] : []),
    ...thirdParty.map((root) => ({ root, origin: 'third-party' as const })),
  ];
  for (const { root, origin } of roots) {
    const scan = await listPluginFolders(root);
    problems.push(...scan.problems);
    if (origin === 'third-party' && scan.folders.length + scan.problems.length === 0) {
      problems.push({
        dir: root,
        error: new AtollError(
          'MANIFEST_INVALID',
          `${root} holds no plugins (a plugin is a folder whose package.json has an "atoll" field).`,
        ),
      });
    }
    for (const folder of scan.folders) {
      if (replaced.has(folder.manifest.id)) continue;
      const error = engineProblem(folder.manifest);
      if (error) problems.push({ dir: folder.dir, error });
      else folders.push({ folder, origin });
    }
  }
  const packages = fromRegistry.folders.map((folder) => ({ folder, origin: 'third-party' as const }));
  return [...problems, ...(await manager.install([...folders, ...packages]))];
}
