import type { CloudEvent } from '@atoll/plugin-sdk/contract';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';

/** An event on its way between nodes, with who sent it. Other nodes may run another version: what they send is checked. */
const WireEvent = Type.Object({
  node: Type.String({ minLength: 1, maxLength: 100 }),
  late: Type.Optional(Type.Literal(true)),
  event: Type.Object({
    specversion: Type.Literal('1.0'),
    id: Type.String({ minLength: 1, maxLength: 100 }),
    source: Type.String({ maxLength: 500 }),
    type: Type.String({ minLength: 1, maxLength: 500 }),
    time: Type.String({ maxLength: 50 }),
    datacontenttype: Type.Literal('application/json'),
    data: Type.Optional(Type.Unknown()),
    traceparent: Type.Optional(Type.String({ maxLength: 200 })),
    organisation: Type.Optional(Type.String({ maxLength: 200 })),
  }),
});

const compiled = Compile(WireEvent);

/** `event` is the JSON of one. `late`: the process that has written it is gone, so its own node may not have heard of it either. */
export const encode = (node: string, event: string, late = false): string =>
  `{"node":${JSON.stringify(node)},${late ? '"late":true,' : ''}"event":${event}}`;

/** Undefined for what is no event, and for one that this process has sent itself. */
export function decode(text: string, self: string): CloudEvent | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!compiled.Check(value)) return undefined;
  const { node, late, event } = value as Static<typeof WireEvent>;
  return node === self && !late ? undefined : ({ ...event, node } as CloudEvent);
}
