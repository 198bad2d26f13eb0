import 'reflect-metadata';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { inject, injectable } from 'tsyringe';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { createContainer, register, registerLazy, resolve } from './container.js';
import { token } from './tokens.js';

interface Greeter {
  greet(): string;
}
const NAME = token<string>('name');
const GREETER = token<Greeter>('greeter');

class NamedGreeter implements Greeter {
  constructor(private readonly name: string) {}
  greet(): string {
    return `hello ${this.name}`;
  }
}
// What `@injectable()` and `@inject(NAME)` do; tests are not compiled with decorators.
inject(NAME)(NamedGreeter, undefined, 0);
injectable()(NamedGreeter);

const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return error instanceof AtollError ? `${error.code}: ${error.message}` : String(error);
  }
  return 'nothing thrown';
};

describe('register', () => {
  it('takes a value, a provider of a value, a factory, or a class', () => {
    const container = createContainer();
    register(container, NAME, 'you');
    expect(resolve(container, NAME)).toBe('you');
    register(container, NAME, { useValue: 'all' });
    expect(resolve(container, NAME)).toBe('all');
    register(container, GREETER, { useClass: NamedGreeter });
    expect(resolve(container, GREETER).greet()).toBe('hello all');
    register(container, GREETER, { useFactory: (c) => ({ greet: () => `${resolve(c, NAME)}!` }) });
    expect(resolve(container, GREETER).greet()).toBe('all!');
  });

  it('makes factories and classes once, and only when needed', () => {
    const container = createContainer();
    let made = 0;
    register(container, GREETER, {
      useFactory: () => {
        made++;
        return { greet: () => '' };
      },
    });
    expect(made).toBe(0);
    expect(resolve(container, GREETER)).toBe(resolve(container, GREETER));
    expect(made).toBe(1);
  });

  it('is typed by the token', () => {
    const container = createContainer();
    register(container, NAME, 'x');
    expectTypeOf(resolve(container, NAME)).toEqualTypeOf<string>();
    // @ts-expect-error a number is no name
    register(container, NAME, 5);
    // @ts-expect-error a number is no name
    register(container, NAME, { useFactory: () => 5 });
  });

  it('keeps containers apart', () => {
    const [one, other] = [createContainer(), createContainer()];
    register(one, NAME, 'one');
    expect(code(() => resolve(other, NAME))).toBe('INTERNAL: Nothing is registered for "name".');
  });

  it('makes a parent’s values out of the parent, whoever asks first', () => {
    const parent = createContainer();
    register(parent, NAME, 'parent');
    registerLazy(parent, GREETER, (c) => ({ greet: () => resolve(c, NAME) }));
    const child = parent.createChildContainer();
    register(child, NAME, 'child');
    expect(resolve(child, GREETER).greet()).toBe('parent');
    expect(resolve(child, NAME)).toBe('child');
  });
});

describe('resolve', () => {
  it('names a token that needs itself, and works once that is mended', () => {
    const container = createContainer();
    const [A, B] = [token<string>('a'), token<string>('b')];
    registerLazy(container, A, (c) => resolve(c, B));
    registerLazy(container, B, (c) => resolve(c, A));
    expect(code(() => resolve(container, A))).toBe('INTERNAL: "a" needs itself to be made.');
    register(container, B, 'b');
    expect(resolve(container, A)).toBe('b');
  });

  it('tries again after a factory failed', () => {
    const container = createContainer();
    let works = false;
    registerLazy(container, NAME, () => {
      if (!works) throw new AtollError('CONFIG_INVALID', 'not yet');
      return 'made';
    });
    expect(code(() => resolve(container, NAME))).toContain('not yet');
    works = true;
    expect(resolve(container, NAME)).toBe('made');
  });
});
