import { describe, expect, it } from 'vitest';
import { createContainer, register, resolve } from './container.js';
import { createPluginScope } from './plugin-scope.js';
import { token } from './tokens.js';

const NAME = token<string>('name');

describe('a plugin scope', () => {
  it('sees the parent’s values and keeps its own', () => {
    const parent = createContainer();
    register(parent, NAME, 'parent');
    const [one, other] = [createPluginScope(parent, 'one'), createPluginScope(parent, 'other')];
    register(one.container, NAME, 'one');
    expect([one, other].map(({ container }) => resolve(container, NAME))).toEqual(['one', 'parent']);
    expect(resolve(parent, NAME)).toBe('parent');
  });

  it('undoes in reverse order, one after the other, whatever fails', async () => {
    const scope = createPluginScope(createContainer(), 'p');
    const log: string[] = [];
    const failure = new TypeError('no');
    scope.own('first', () => log.push('first'));
    scope.own('second', {
      async [Symbol.asyncDispose]() {
        log.push('second begins');
        await new Promise((resolve) => setTimeout(resolve, 10));
        log.push('second ends');
      },
    });
    scope.own('third', () => Promise.reject(failure));
    scope.own('fourth', { [Symbol.dispose]: () => void log.push('fourth') });
    expect(scope.owned).toEqual(['first', 'second', 'third', 'fourth']);
    expect(await scope.dispose()).toEqual([{ label: 'third', error: failure }]);
    expect(log).toEqual(['fourth', 'second begins', 'second ends', 'first']);
    expect(scope.owned).toEqual([]);
  });

  it('is disposed once, and owns nothing afterwards', async () => {
    const scope = createPluginScope(createContainer(), 'p');
    let times = 0;
    scope.own('it', () => times++);
    await Promise.all([scope.dispose(), scope.dispose()]);
    expect(times).toBe(1);
    expect(() => scope.own('late', () => {})).toThrow(expect.objectContaining({ code: 'SHUTTING_DOWN' }));
  });

  it('says at the end of a block what was not undone', async () => {
    const block = async () => {
      await using scope = createPluginScope(createContainer(), 'p');
      scope.own('socket', () => {
        throw new TypeError('no');
      });
    };
    await expect(block()).rejects.toThrow('p: not undone: socket.');
  });
});
