import { defineConfig, type PartialConfig, wrongVariable } from '@atoll/kernel/config';

const { DATABASE_URL, OLLAMA_HOST, OPENAI_API_KEY, OPENAI_BASE_URL, REDIS_URL } = process.env;

const OLLAMA_PORT = '11434';

/** Passwords in a URL are never sent, and would be shown wherever the address is. */
function refusePassword(name: string, url: URL): void {
  if (url.username === '' && url.password === '') return;
  throw wrongVariable(name, '********', 'a URL without user and password, which no server would get');
}

/**
 * OLLAMA_HOST as Ollama reads it: a host, a host with port, or a URL (then the port is the protocol's own unless given). Where
 * Ollama listens on all addresses, it is reached on the loopback.
 */
function ollamaUrl(given: string): string {
  const text = given.trim().replace(/^["']|["']$/g, '');
  const hasScheme = /^https?:\/\//i.test(text);
  // A bare IPv6 address has no place for a port, and a bare port no host.
  const host = /^[0-9a-f:]*:[0-9a-f:]*:[0-9a-f:]*$/i.test(text) ? `[${text}]` : text.replace(/^:(?=\d)/, '127.0.0.1:');
  const address = hasScheme ? text : `http://${host}`;
  // Nothing that may hold a password is repeated.
  const shown = text.includes('@') ? '********' : given;
  if (!URL.canParse(address) || (!hasScheme && text.includes('://')))
    throw wrongVariable('OLLAMA_HOST', shown, 'a host, host:port or URL that begins with http:// or https://');
  const url = new URL(address);
  refusePassword('OLLAMA_HOST', url);
  if (!hasScheme && url.port === '' && !/:80(\/|$)/.test(address)) url.port = OLLAMA_PORT;
  if (url.hostname === '0.0.0.0') url.hostname = '127.0.0.1';
  if (url.hostname === '[::]') url.hostname = '[::1]';
  return url.href.replace(/\/$/, '');
}

function openaiUrl(given: string): URL {
  if (!/^https?:\/\//i.test(given) || !URL.canParse(given)) {
    const shown = given.includes('@') ? '********' : given;
    throw wrongVariable('OPENAI_BASE_URL', shown, 'a URL such as https://api.openai.com/v1');
  }
  const url = new URL(given);
  refusePassword('OPENAI_BASE_URL', url);
  return url;
}

const plugins: Record<string, Record<string, unknown>> = {};
if (OLLAMA_HOST) plugins['provider-ollama'] = { host: ollamaUrl(OLLAMA_HOST) };
if (OPENAI_BASE_URL) plugins['provider-openai'] = { baseUrl: openaiUrl(OPENAI_BASE_URL).href.replace(/\/$/, '') };

const secrets: PartialConfig['secrets'] = {};
if (OPENAI_API_KEY) {
  const { host } = openaiUrl(OPENAI_BASE_URL || 'https://api.openai.com/v1');
  secrets.OPENAI_API_KEY = { value: OPENAI_API_KEY, hosts: [host] };
}

function databaseUrl(given: string): string {
  if (/^postgres(ql)?:\/\//.test(given) && URL.canParse(given)) return given;
  // Not the text itself: it may hold a password.
  throw wrongVariable('DATABASE_URL', '********', 'a URL such as postgres://user:password@host:5432/atoll');
}

const database: PartialConfig['database'] = DATABASE_URL ? { url: databaseUrl(DATABASE_URL) } : {};

function redisUrl(given: string): string {
  if (/^rediss?:\/\//.test(given) && URL.canParse(given)) return given;
  throw wrongVariable('REDIS_URL', '********', 'a URL such as redis://user:password@host:6379');
}

const redis: PartialConfig['redis'] = REDIS_URL ? { url: redisUrl(REDIS_URL) } : {};

/** The base layer. What is absent here has the default of kernel/src/config/schema.ts. */
export default defineConfig({ plugins: { config: plugins }, secrets, database, redis });
