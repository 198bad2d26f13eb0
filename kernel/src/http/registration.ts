import { AtollError, type RouteRegistration } from '@atoll/plugin-sdk/contract';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';

const MAX_PATH = 1_000;
const MAX_BODY = 268_435_456;
const PARAMETER = /^[:*][A-Za-z_][A-Za-z0-9_]{0,63}$/;
const LITERAL = /^[A-Za-z0-9\-._~!$&'()+,;=@%][A-Za-z0-9\-._~!$&'()+,;=@:%*]*$/;
const Text = Type.String({ maxLength: 5_000 });

const registration = Compile(
  Type.Object({
    method: Type.Union(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].map((method) => Type.Literal(method))),
    path: Type.String(),
    schemas: Type.Optional(Type.Object({})),
    maxBodyBytes: Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_BODY })),
    timeoutMs: Type.Optional(Type.Number({ minimum: 1 })),
    summary: Type.Optional(Text),
    description: Type.Optional(Text),
    permission: Type.Optional(Type.String({ maxLength: 100 })),
    tags: Type.Optional(Type.Array(Text, { maxItems: 20 })),
  }),
);

/** Registrations come out of the sandbox: anything may be in them. Throws MANIFEST_INVALID. */
export function checkRegistration(value: RouteRegistration, path: string): void {
  if (!registration.Check(value)) {
    const [error] = registration.Errors(value);
    refuse(path, `${error?.instancePath ?? ''} ${error?.message ?? 'is malformed'}`);
  }
  if (!path.startsWith('/') || path.length > MAX_PATH)
    refuse(path, `it has to start with / and have at most ${MAX_PATH} characters`);
  const names = new Set<string>();
  const segments = path.split('/').slice(1);
  for (const [at, segment] of segments.entries()) {
    const last = at === segments.length - 1;
    if (segment.startsWith(':') || segment.startsWith('*')) checkParameter(segment, names, last, path);
    else if (!LITERAL.test(segment) && !(segment === '' && last))
      refuse(path, `the segment "${segment}" is not allowed`);
  }
}

function checkParameter(segment: string, names: Set<string>, last: boolean, path: string): void {
  const named = segment === '*' ? '*rest' : segment;
  const name = named.slice(1);
  if (!PARAMETER.test(named) || name === '__proto__') refuse(path, `"${segment}" is no name for a parameter`);
  if (names.has(name)) refuse(path, `the parameter "${name}" is there twice`);
  if (segment.startsWith('*') && !last) refuse(path, 'the rest parameter must come last');
  names.add(name);
}

function refuse(path: string, why: string): never {
  throw new AtollError('MANIFEST_INVALID', `The route "${String(path).slice(0, 100)}" is unacceptable: ${why}.`);
}
