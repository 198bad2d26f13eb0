import { describe, expect, it } from 'vitest';
import { AtollError } from '../contract/errors.js';
import { retryAfterOf, serverUrl, toUpstreamError } from './upstream.js';

describe('the address of a server', () => {
  it.each(['http://me:hidden@box', 'https://hidden@box/v1', 'http://me:hid@den@box'])('has no password: %s', (url) => {
    const refused = expect.objectContaining({
      code: 'CONFIG_INVALID',
      message: expect.not.stringContaining('hid') as string,
    });
    expect(() => serverUrl(url, 'host')).toThrow(refused);
  });

  it.each(['http://box:11434', 'https://box/v1/@scope', 'http://[::1]:80'])('is what was configured: %s', (url) => {
    expect(serverUrl(url, 'host')).toBe(url);
  });

  it('is told without its password in messages', () => {
    const failed = new AtollError('NET_FAILED', 'http://me:hidden@box/api refused the connection');
    expect(toUpstreamError(failed, 'Ollama')).toMatchObject({
      message: 'Ollama cannot be reached: http://box/api refused the connection',
    });
  });
});

describe('the time to wait', () => {
  const now = Date.parse('2026-01-02T03:04:05Z');

  it.each([
    ['7', { retryAfter: 7 }],
    ['0.2', { retryAfter: 1 }],
    ['Fri, 02 Jan 2026 03:04:35 GMT', { retryAfter: 30 }],
    ['Fri, 02 Jan 2026 03:00:00 GMT', {}],
    ['0', {}],
    ['soon', {}],
    ['', {}],
  ])('of "%s" is %j', (said, expected) => {
    expect(retryAfterOf(new Headers({ 'retry-after': said }), now)).toEqual(expected);
  });
});
