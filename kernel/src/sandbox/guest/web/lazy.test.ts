import { expect, it } from 'vitest';
import { defineGlobal } from './define.js';
import { defineLazily, isMaterialised } from './lazy.js';

it('makes all at the first look, but leaves what the guest has changed', () => {
  const globals = globalThis as Record<string, unknown>;
  const names = ['URL', 'Blob', 'Headers', 'fetch', 'File'];
  const made = Object.fromEntries(names.map((name) => [name, globals[name]]));
  let times = 0;
  defineLazily(() => {
    times++;
    for (const name of names) defineGlobal(name, made[name]);
  });
  const own = () => 'own';
  globals.fetch = own;
  Reflect.deleteProperty(globals, 'File');
  expect([times, isMaterialised()]).toEqual([0, false]);
  expect(globals.URL).toBe(made.URL);
  expect(globals.Blob).toBe(made.Blob);
  expect([times, isMaterialised()]).toEqual([1, true]);
  expect(globals.fetch).toBe(own);
  expect('File' in globals).toBe(false);
  const property = Object.getOwnPropertyDescriptor(globals, 'Headers');
  expect(property).toEqual({ value: made.Headers, writable: true, configurable: true, enumerable: false });
  Object.assign(globals, made);
});
