import { expect, it } from 'vitest';
import { RegistrationBudget } from './registration-budget.js';

const flooding = expect.objectContaining({ code: 'PLUGIN_FLOODING' });

it('lets a version register so much, and no more', () => {
  const budget = new RegistrationBudget('p');
  for (let n = 0; n < 2_000; n++) budget.spend(null);
  expect(() => budget.spend(null)).toThrow(flooding);
});

it('counts the texts of all registrations together', () => {
  const budget = new RegistrationBudget('p');
  const spend = () => budget.spend({ description: 'x'.repeat(200_000) });
  for (let n = 0; n < 5; n++) spend();
  expect(spend).toThrow(flooding);
});

it('counts the patterns of all schemas together', () => {
  const budget = new RegistrationBudget('p');
  const spend = () =>
    budget.spend({ a: { pattern: '(?:[a-z]{1,20}[0-9]{1,20}){1,20}' }, patternProperties: { '^x{500}$': {} } });
  for (let n = 0; n < 30; n++) spend();
  expect(() => {
    for (let n = 0; n < 30; n++) spend();
  }).toThrow(flooding);
});

it('counts the parts of all schemas together', () => {
  const budget = new RegistrationBudget('p');
  const properties = Object.fromEntries(Array.from({ length: 4_900 }, (_, n) => [`p${n}`, { type: 'string' }]));
  const spend = () => budget.spend({ schemas: { body: { type: 'object', properties } } });
  for (let n = 0; n < 4; n++) spend();
  expect(spend).toThrow(flooding);
});
