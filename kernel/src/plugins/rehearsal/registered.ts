import type { ChannelRegistration, RouteRegistration, ServiceRegistration } from '@atoll/plugin-sdk/contract';
import type { TargetSchemas } from './call-mask.js';
import type { Target } from './recorded-call.js';

interface Entry {
  target: Target;
  schemas: TargetSchemas;
}

/** What the indexes in a guest's calls stand for: it numbers what it registers, and another version does so in another order. */
export class Registered {
  readonly #entries = new Map<string, Entry>();
  readonly #indexes = new Map<string, number>();

  /** `path` as it is reached from outside. */
  route(index: number, path: string, { method, schemas = {} }: RouteRegistration): void {
    this.#set(`http ${index}`, index, { target: { kind: 'http', method, path }, schemas });
  }

  channel(index: number, { name, input }: ChannelRegistration): void {
    this.#set(`channel ${index}`, index, { target: { kind: 'channel', name }, schemas: { body: input } });
  }

  service(index: number, { name, methods }: ServiceRegistration): void {
    for (const [method, { input, output }] of Object.entries(methods))
      this.#set(`service ${index} ${method}`, index, {
        target: { kind: 'service', name, method },
        schemas: { body: input, response: output },
      });
  }

  /** By the members `m`, `i` and `n` of a call's meta. */
  find({ m, i, n }: { m?: unknown; i?: unknown; n?: unknown }): Entry | undefined {
    return this.#entries.get(m === 'service' ? `service ${String(i)} ${String(n)}` : `${String(m)} ${String(i)}`);
  }

  indexOf(target: Target): number | undefined {
    return this.#indexes.get(JSON.stringify(target));
  }

  #set(key: string, index: number, entry: Entry): void {
    this.#entries.set(key, entry);
    this.#indexes.set(JSON.stringify(entry.target), index);
  }
}
