import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { FLAGS_AT_FIRST, FLAGS_ONCE_UP } from './warm-code.js';

it.each([...FLAGS_AT_FIRST, ...FLAGS_ONCE_UP])('%s is known to this V8, which would go on without it', (flag) => {
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  const name = flag.replace(/^--(no-)?/, '').replace(/=.*/, '');
  expect(known).toContain(`  --${name} (`);
});

it('limits the collections at rest before anything else is loaded', async () => {
  const entry = await readFile(new URL('./main.ts', import.meta.url), 'utf8');
  expect(entry.match(/^import .*$/gm)).toEqual(["import { collectNothingAtRest } from './warm-code.js';"]);
  expect(entry.indexOf('collectNothingAtRest();')).toBeLessThan(entry.indexOf('await import('));
  const flags = await readFile(new URL('./warm-code.ts', import.meta.url), 'utf8');
  expect(flags.match(/^import .*$/gm)).toEqual(["import { setFlagsFromString } from 'node:v8';"]);
});
