import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { FLAGS } from './warm-code.js';

it.each(FLAGS)('%s is known to this V8, which would go on without it', (flag) => {
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  const name = flag.replace(/^--(no-)?/, '').replace(/=.*/, '');
  expect(known).toContain(`  --${name} (`);
});
