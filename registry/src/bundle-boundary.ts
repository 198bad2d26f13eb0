import { createRequire } from 'node:module';
import path from 'node:path';
import type { Plugin } from 'esbuild';

const require = createRequire(import.meta.url);
/** The compiled SDK of this installation, and its sources, to which its source maps lead. */
const SDK_DIST = path.dirname(require.resolve('@atoll/plugin-sdk'));
const SDK = path.dirname(SDK_DIST);

const posix = (file: string): string => file.split(path.sep).join('/');
const within = (dir: string, file: string): string | undefined =>
  file.startsWith(dir + path.sep) ? posix(file.slice(dir.length + 1)) : undefined;

/** Where in a package a file lies: the part after the last `node_modules/`. */
const inPackages = (file: string): string | undefined => {
  const at = file.lastIndexOf(`${path.sep}node_modules${path.sep}`);
  return at < 0 ? undefined : posix(file.slice(at + '/node_modules/'.length));
};

/**
 * Files that may become part of a bundle. The bundler runs with the rights of the kernel and can import any file as
 * text, so this is a wall of the sandbox: without it `import key from '/…/root.key' with { type: 'text' }` would hand a
 * plugin the root key. Paths with a part that starts with a dot (.env, .git, the data directory) are no source, either.
 */
function mayRead(dir: string, file: string): boolean {
  const own = within(dir, file);
  if (own !== undefined)
    return inPackages(`/${own}`) !== undefined || !own.split('/').some((part) => part.startsWith('.'));
  return within(SDK_DIST, file) !== undefined || inPackages(file) !== undefined;
}

const INSTEAD = 'copy it in, publish it as a package, or call a service of the plugin it belongs to';

/** Refuses files outside of the plugin's folder. `dir` must be free of links; esbuild resolves those of the files. */
export function boundary(dir: string): Plugin {
  return {
    name: 'boundary',
    setup(builder) {
      builder.onLoad({ filter: /.*/, namespace: 'file' }, ({ path: file }) => {
        if (mayRead(dir, file)) return undefined;
        const where = within(dir, file);
        const text =
          where === undefined
            ? `${path.basename(file)} lies outside of the plugin's folder; ${INSTEAD}`
            : `${where} is hidden (a part of its path starts with a dot) and can't be bundled`;
        return { errors: [{ text }] };
      });
    },
  };
}

/** A file's name in maps and messages: relative to the plugin, or as in an import. Nothing of this machine shows. */
export function publicName(dir: string, file: string): string {
  if (/^[a-z][a-z0-9+.-]+:/i.test(file)) return file;
  const absolute = path.resolve(dir, file);
  const sdk = within(SDK, absolute);
  return (
    within(dir, absolute) ??
    (sdk !== undefined ? `@atoll/plugin-sdk/${sdk}` : (inPackages(absolute) ?? `outside/${path.basename(absolute)}`))
  );
}
