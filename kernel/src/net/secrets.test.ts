import { describe, expect, it } from 'vitest';
import { ConfigSecretSource, fillSecrets } from './secrets.js';

const source = new ConfigSecretSource({
  KEY: { value: 'the-value-of-key', hosts: ['api.example.com'] },
  PORTED: { value: 'the-value-of-ported', hosts: ['api.example.com:8443', 'Other.Example.com:443'] },
});
const fill = (text: string, url = 'https://api.example.com/', permitted = ['KEY', 'PORTED', 'UNSET', 'constructor']) =>
  fillSecrets(text, new URL(url), { plugin: 'p', permitted }, source);
const denied = (message: string) =>
  expect.objectContaining({ code: 'SECRET_DENIED', message: expect.stringContaining(message) });

describe('fillSecrets', () => {
  it('fills placeholders for hosts the secret is bound to', () => {
    expect(fill('Bearer {{secret:KEY}}')).toBe('Bearer the-value-of-key');
    expect(fill('{{secret:KEY}}', 'http://api.example.com:99/')).toBe('the-value-of-key');
    expect(fill('{{secret:PORTED}}', 'https://api.example.com:8443/')).toBe('the-value-of-ported');
    expect(fill('{{secret:PORTED}}', 'https://other.example.com/')).toBe('the-value-of-ported');
  });

  it.each([
    ['{{secret:KEY}}', 'https://evil.test/', 'may not be sent to evil.test'],
    ['{{secret:KEY}}', 'https://sub.api.example.com/', 'may not be sent to'],
    ['{{secret:PORTED}}', 'https://api.example.com/', 'may not be sent to'],
    ['{{secret:OTHER}}', 'https://api.example.com/', '"OTHER" is not in `permissions.secrets`'],
    ['{{secret:UNSET}}', 'https://api.example.com/', 'The secret "UNSET" is not set'],
    ['{{secret:constructor}}', 'https://api.example.com/', 'is not set'],
    ['{{secret:KEY', 'https://api.example.com/', 'not of the form'],
    ['{{secret:{{secret:KEY}}}}', 'https://api.example.com/', 'not of the form'],
  ])('%s to %s: %s', (text, url, message) => {
    expect(() => fill(text, url)).toThrow(denied(message));
  });

  it('does not look for placeholders in values', () => {
    const nested = new ConfigSecretSource({ KEY: { value: '{{secret:KEY}}', hosts: ['a.com'] } });
    expect(fillSecrets('{{secret:KEY}}', new URL('https://a.com'), { plugin: 'p', permitted: ['KEY'] }, nested)).toBe(
      '{{secret:KEY}}',
    );
  });
});
