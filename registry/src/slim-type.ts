import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Plugin } from 'esbuild';

/**
 * `Type` is a namespace with all of TypeBox in it (77 KB). Imported as a namespace of its own module, esbuild keeps only
 * the members that are used: a tenth. The rewritten import keeps its lines, so positions in errors and stacks stay true.
 */
export const slimType: Plugin = {
  name: 'slim-type',
  setup(builder) {
    builder.onLoad({ filter: /\.[cm]?[jt]s$/, namespace: 'file' }, async ({ path: file }) => {
      if (file.includes(`${path.sep}node_modules${path.sep}`)) return undefined;
      const text = await readFile(file, 'utf8');
      const contents = namespaceType(text);
      return contents === text ? undefined : { contents, loader: file.endsWith('ts') ? 'ts' : 'js' };
    });
  },
};

const TYPE_IMPORT = /^import\s*\{([^}]*)\}\s*from\s*(['"])(@atoll\/plugin-sdk|typebox)\2/gm;

function namespaceType(text: string): string {
  return text.replace(TYPE_IMPORT, (whole, list: string, quote: string, source: string) => {
    const names = list.split(',').map((name) => name.trim());
    const found = names
      .map((name) => /^Type(?:\s+as\s+([A-Za-z_$][\w$]*))?$/.exec(name))
      .find((match) => match !== null);
    if (!found) return whole;
    const rest = names.filter((name) => name !== '' && !/^Type(\s|$)/.test(name));
    const others = rest.length > 0 ? `import { ${rest.join(', ')} } from ${quote}${source}${quote}; ` : '';
    const lines = '\n'.repeat(list.split('\n').length - 1);
    return `${others}import * as ${found[1] ?? 'Type'} from ${quote}typebox${quote}${lines}`;
  });
}
