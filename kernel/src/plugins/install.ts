import { AtollError } from '@atoll/plugin-sdk/contract';
import { listPluginFolders, type PluginFolder } from '@atoll/registry';
import semver from 'semver';
import { KERNEL_VERSION } from '../version.js';
import type { PluginManager } from './manager.js';

export interface InstallProblem {
  dir: string;
  error: AtollError;
}

/** Finds the plugins of the installation and of the operator's folders, and installs them. What is wrong is told, not thrown. */
export async function installPlugins(
  manager: PluginManager,
  firstParty: string | undefined,
  thirdParty: readonly string[],
): Promise<InstallProblem[]> {
  const problems: InstallProblem[] = [];
  const folders: { folder: PluginFolder; origin: 'first-party' | 'third-party' }[] = [];
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
      if (semver.satisfies(KERNEL_VERSION, folder.manifest.engine)) folders.push({ folder, origin });
      else
        problems.push({
          dir: folder.dir,
          error: new AtollError(
            'MANIFEST_INVALID',
            `"${folder.manifest.id}" needs the kernel ${folder.manifest.engine}; this is ${KERNEL_VERSION}.`,
          ),
        });
    }
  }
  return [...problems, ...(await manager.install(folders))];
}
