import { SourceMap, type SourceMapPayload } from 'node:module';

/** Replaces positions in the bundle by those in the author's files. Text that is no stack stays as it is. */
export function mapStack(stack: string, map: string, plugin: string): string {
  let parsed: SourceMap;
  try {
    parsed = new SourceMap(JSON.parse(map) as SourceMapPayload);
  } catch {
    return stack;
  }
  const position = new RegExp(`plugin:${plugin}:(\\d+):(\\d+)`, 'g');
  const mapped = stack.replace(position, (text, line: string, column: string) => {
    const entry = parsed.findEntry(Number(line) - 1, Number(column) - 1);
    return 'originalSource' in entry
      ? `${entry.originalSource}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
      : text;
  });
  // The runtime's own frames say nothing to a plugin's author.
  return mapped
    .split('\n')
    .filter((line) => !/atoll:prelude|<isolated-vm/.test(line))
    .join('\n');
}
