import path from 'node:path';

const posix = (file: string): string => file.split(path.sep).join('/');

/** Where in a folder a file lies, with slashes; undefined when it lies elsewhere. */
export function within(folder: string, file: string): string | undefined {
  const base = folder.endsWith(path.sep) ? folder : folder + path.sep;
  return file.startsWith(base) && file !== base ? posix(file.slice(base.length)) : undefined;
}

/** The part of a path after the last `node_modules/`: a file as an import names it. */
export function inPackages(file: string): string | undefined {
  const at = file.lastIndexOf(`${path.sep}node_modules${path.sep}`);
  return at < 0 ? undefined : posix(file.slice(at + '/node_modules/'.length));
}

const NAME = /^(@[^/]+\/[^/]+|[^@./#][^/]*)/;

/** The name of the package that an import by name, or a path below node_modules, begins with. */
export const nameIn = (specifier: string): string | undefined => NAME.exec(specifier)?.[1];

/** The package in a node_modules that a file lies in; undefined for loose files there. */
export function packageOf(file: string): { root: string; name: string } | undefined {
  const inside = inPackages(file);
  const name = inside === undefined ? undefined : nameIn(inside);
  if (inside === undefined || name === undefined || inside === name) return undefined;
  return { root: file.slice(0, file.length - inside.length + name.length), name };
}
