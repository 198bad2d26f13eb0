/** What a plugin's setup registers with the host, as plain data: the part of the SDK that crosses the bridge. */

/** JSON Schema (TypeBox schemas are JSON Schema). */
export type JsonSchema = Record<string, unknown>;

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface RouteRegistration {
  method: HttpMethod;
  /** Relative to the plugin's first mount, or absolute inside another of its mounts. `:name` marks a parameter. */
  path: string;
  schemas?: {
    params?: JsonSchema;
    query?: JsonSchema;
    headers?: JsonSchema;
    body?: JsonSchema;
    response?: JsonSchema;
  };
  /** Largest accepted body in bytes; the kernel's default when absent. */
  maxBodyBytes?: number;
  /** Longest time for one call in ms; the plugin's `limits.timeoutMs` when absent. Streams have it until their first chunk, then between chunks. */
  timeoutMs?: number;
  summary?: string;
  description?: string;
  tags?: string[];
  /** What the caller needs beside `plugins.call`: a name out of the manifest's `access`. */
  permission?: string;
}

export interface ServiceMethodRegistration {
  input?: JsonSchema;
  output?: JsonSchema;
  /** The method answers with a stream of values, each matching `chunk`. */
  stream?: boolean;
  chunk?: JsonSchema;
  timeoutMs?: number;
}

export interface ServiceRegistration {
  name: string;
  /** Semantic version of the contract. */
  version: string;
  methods: Record<string, ServiceMethodRegistration>;
}

export interface ChannelRegistration {
  /** Full name is `<plugin id>.<name>`. */
  name: string;
  input?: JsonSchema;
  /** What the caller needs beside `plugins.call`: a name out of the manifest's `access`. */
  permission?: string;
}

/** A provider of a service, as consumers see it. */
export interface ServiceProvider {
  plugin: string;
  pluginVersion: string;
  service: string;
  version: string;
}
