import { describe, expect, it } from 'vitest';
import { AtollError } from '../contract/errors.js';
import { serverUrl, toUpstreamError } from './upstream.js';

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
