import 'reflect-metadata';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { type DependencyContainer, type InjectionToken, container as root } from 'tsyringe';
import type { Token } from './tokens.js';

type Class<T> = new (...parameters: never[]) => T;

/** How a token gets its value. Factories and classes are made once per registration, when first needed. */
export type Provider<T> =
  | { useValue: T }
  | { useFactory: (container: DependencyContainer) => T }
  /** A class with `@injectable()` and an explicit `@inject(TOKEN)` for every parameter. */
  | { useClass: Class<T> };

/** A container of its own, so that several kernels can live in one process. */
export function createContainer(): DependencyContainer {
  return root.createChildContainer();
}

/** Registers what stands behind a token: a provider, or simply the value. A later registration replaces an earlier one. */
export function register<T>(container: DependencyContainer, token: Token<T>, provider: Provider<T> | T): void {
  if (isProvider(provider, 'useFactory')) registerLazy(container, token, provider.useFactory);
  else if (isProvider(provider, 'useClass'))
    registerLazy(container, token, (c) => c.resolve(provider.useClass as InjectionToken<T>));
  else
    container.register<T>(token, { useValue: isProvider(provider, 'useValue') ? provider.useValue : (provider as T) });
}

function isProvider<T, K extends 'useValue' | 'useFactory' | 'useClass'>(
  provider: Provider<T> | T,
  kind: K,
): provider is Extract<Provider<T>, Record<K, unknown>> {
  return typeof provider === 'object' && provider !== null && Object.keys(provider).join() === kind;
}

/**
 * Registers a value that is made once, when it is first needed, out of the container it was registered in: what a child container
 * replaces does not get into its parent's values.
 */
export function registerLazy<T>(
  container: DependencyContainer,
  token: Token<T>,
  make: (container: DependencyContainer) => T,
): void {
  let made: { value: T } | undefined;
  let making = false;
  container.register<T>(token, {
    useFactory: () => {
      if (made) return made.value;
      if (making) throw new AtollError('INTERNAL', `"${nameOf(token)}" needs itself to be made.`);
      making = true;
      try {
        made = { value: make(container) };
        return made.value;
      } finally {
        making = false;
      }
    },
  });
}

/** For composition roots only; classes get what they need through their constructors. Throws INTERNAL for a token without a value. */
export function resolve<T>(container: DependencyContainer, token: Token<T>): T {
  if (!container.isRegistered(token, true))
    throw new AtollError('INTERNAL', `Nothing is registered for "${nameOf(token)}".`);
  return container.resolve<T>(token);
}

function nameOf(token: Token<unknown>): string {
  return typeof token === 'symbol' ? (token.description ?? 'a token').replace(/^atoll\./, '') : String(token);
}
