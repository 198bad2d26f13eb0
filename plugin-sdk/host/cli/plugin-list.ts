import { request, type ServerOptions } from './client.js';
import { PLUGINS } from './server-paths.js';

export interface Plugin {
  id: string;
  version: string;
  title: string;
  state: string;
  reason?: string;
  [member: string]: unknown;
}

/** All plugins of a server, page by page. */
export async function listPlugins(server: ServerOptions): Promise<Plugin[]> {
  const all: Plugin[] = [];
  let cursor: string | undefined;
  do {
    const query = new URLSearchParams({ limit: '200', ...(cursor !== undefined && { cursor }) });
    const page = await request<{ items: Plugin[]; nextCursor?: string }>(server, 'GET', `${PLUGINS}?${query}`);
    all.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return all;
}
