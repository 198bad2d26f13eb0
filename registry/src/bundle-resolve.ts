import { createRequire } from 'node:module';
import path from 'node:path';
import type { OnResolveArgs, OnResolveResult, Plugin, PluginBuild } from 'esbuild';
import { isNodeBuiltin, nodeBuiltinMessage } from './node-builtins.js';

const require = createRequire(import.meta.url);
const INSTALLATION = path.dirname(require.resolve('@atoll/registry'));

/** Marks a resolution that one of these plugins asked for itself. */
const ASKED = 'asked';

const refusal = (text: string): OnResolveResult => ({ errors: [{ text }] });

/** The SDK and TypeBox are this installation's, wherever the plugin lies: it needs no node_modules for them. */
export const ownPackages: Plugin = {
  name: 'own-packages',
  setup(builder) {
    builder.onResolve({ filter: /^(@atoll\/plugin-sdk|typebox)(\/|$)/ }, ({ path: name, pluginData, kind }) => {
      if (pluginData === ASKED) return undefined;
      if (name.startsWith('@atoll/plugin-sdk/testing'))
        return refusal(`${name} is for tests; it does not exist in a plugin`);
      return builder.resolve(name, { resolveDir: INSTALLATION, kind, pluginData: ASKED });
    });
    builder.onResolve({ filter: /^@atoll\/(kernel|registry)(\/|$)/ }, ({ path: name }) =>
      refusal(`${name} belongs to the kernel's process; a plugin gets its capabilities from its setup`),
    );
  },
};

const inPackage = ({ importer }: OnResolveArgs): boolean => /[\\/]node_modules[\\/]/.test(importer);

async function resolveBuiltin(builder: PluginBuild, args: OnResolveArgs): Promise<OnResolveResult | undefined> {
  const { path: name, resolveDir, kind, importer } = args;
  // A package may carry the name of a Node module (`buffer`, `events`), or replace one by its `browser` field.
  const found = await builder.resolve(name, { resolveDir, importer, kind, pluginData: ASKED });
  if (found.errors.length === 0 && !found.external) return found;
  // Many packages try a module of Node and do without it: those fail when it is used, not when the plugin is built.
  const optional = kind === 'require-call' || kind === 'dynamic-import';
  return optional && inPackage(args) ? { path: name, namespace: 'absent-builtin' } : refusal(nodeBuiltinMessage(name));
}

/** Explains imports of Node's modules. */
export const nodeBuiltins: Plugin = {
  name: 'node-builtins',
  setup(builder) {
    builder.onResolve({ filter: /^(node:.+|[a-z_][a-z0-9_/]*)$/ }, (args) =>
      args.pluginData === ASKED || !isNodeBuiltin(args.path) ? undefined : resolveBuiltin(builder, args),
    );
    builder.onLoad({ filter: /.*/, namespace: 'absent-builtin' }, ({ path: name }) => ({
      contents: `throw new Error(${JSON.stringify(nodeBuiltinMessage(name))});`,
    }));
  },
};

/** Code comes from the package: an import by URL would be left in the bundle and fail when it runs. */
export const noUrls: Plugin = {
  name: 'no-urls',
  setup(builder) {
    builder.onResolve({ filter: /^(https?:)?\/\// }, ({ path: url, kind }) =>
      kind === 'url-token'
        ? undefined
        : refusal(`imports by URL do not exist in a plugin ("${url}"); install the package`),
    );
  },
};
