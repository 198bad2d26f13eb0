import { expect, it } from 'vitest';
import { PluginSourceMap } from './source-map.js';

/** Line 1 of the bundle is line 3 of the source. */
const MAP = JSON.stringify({ version: 3, sources: ['src/index.ts'], names: [], mappings: 'AAEA' });

it('gives positions in the author’s files, and leaves out frames of the runtime', () => {
  const map = new PluginSourceMap('greeter', MAP);
  const stack = 'Error: x\n    at f (plugin:greeter:1:1)\n    at atoll:prelude:9:9\n    at g (plugin:other:1:1)';
  const mapped = 'Error: x\n    at f (src/index.ts:3:1)\n    at g (plugin:other:1:1)';
  expect([map.mapStack(stack), map.mapMessage(stack)]).toEqual([mapped, mapped]);
  expect(map.mapMessage('no stack\n    at atoll:prelude:9:9')).toBe('no stack\n    at atoll:prelude:9:9');
});

it.each(['', '{', '{"mappings":5}', 'null'])('leaves a stack as it is when the map is %s', (broken) => {
  const stack = 'Error: x\n    at f (plugin:greeter:1:1)';
  expect(new PluginSourceMap('greeter', broken).mapStack(stack)).toBe(stack);
});
