import { AtollError, type Secrets } from '@atoll/plugin-sdk';
import { serverUrl, toUpstreamError } from '@atoll/plugin-sdk/services/llm-provider';
import { badAnswer, statusError } from './errors.js';

const KEY = 'OPENAI_API_KEY';
const OFFICIAL = 'https://api.openai.com';

/**
 * Requests to the configured server. The key itself is never here: the header carries a placeholder for the kernel to
 * fill in.
 */
export class Connection {
  readonly baseUrl: string;
  /** OpenAI's own server knows newer names for some options than its imitators do. */
  readonly official: boolean;

  constructor(
    baseUrl: string,
    private readonly secrets: Secrets,
  ) {
    this.baseUrl = serverUrl(baseUrl, 'baseUrl').replace(/\/+$/, '');
    this.official = this.baseUrl.startsWith(`${OFFICIAL}/`);
  }

  /** OpenAI's own server needs a key; another server may do without one. */
  async configured(): Promise<boolean> {
    return !this.official || (await this.secrets.has(KEY));
  }

  /** The answer to a request; anything but 2xx is thrown. */
  async send(path: string, body: unknown, signal: AbortSignal): Promise<Response> {
    const keyed = await this.secrets.has(KEY);
    if (this.official && !keyed) {
      throw new AtollError(
        'SERVICE_UNAVAILABLE',
        'provider-openai is not configured: set OPENAI_API_KEY, or OPENAI_BASE_URL for another server.',
      );
    }
    let response: Response;
    try {
      response = await fetch(`${this.baseUrl}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          accept: 'application/json, text/event-stream',
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(keyed && { authorization: `Bearer ${this.secrets.ref(KEY)}` }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal,
      });
    } catch (error) {
      throw toUpstreamError(error, this.baseUrl);
    }
    if (response.ok) return response;
    throw statusError(response.status, await response.text().catch(() => ''), response.headers);
  }

  /** The answer to a request as a JSON object, whatever its content type claims to be. */
  async json(path: string, body: unknown, signal: AbortSignal): Promise<Record<string, unknown>> {
    const response = await this.send(path, body, signal);
    let text: string;
    try {
      text = await response.text();
    } catch (error) {
      throw toUpstreamError(error, this.baseUrl);
    }
    return parseObject(text);
  }
}

export function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  const start = text.replace(/\s+/g, ' ').slice(0, 120);
  throw badAnswer(`answered with something that is not a JSON object: ${start}`);
}
