import { template } from './files.js';

const CONTRACT = `import { Type } from '@atoll/plugin-sdk';

const UNITS = ['m', 'km', 'mi', 'ft'] as const;
export type Unit = (typeof UNITS)[number];
const UnitName = Type.Union(UNITS.map((unit) => Type.Literal(unit)));

/** What a model has to give. The kernel checks it before the tool runs. */
export const Arguments = Type.Object(
  {
    value: Type.Number({ description: 'The length.' }),
    from: UnitName,
    to: UnitName,
  },
  { additionalProperties: false },
);
export const Result = Type.Object({ value: Type.Number(), unit: UnitName });

/** As it goes into \`tools\` of a chat. */
export const Definition = Type.Object({
  name: Type.String(),
  description: Type.String(),
  parameters: Type.Record(Type.String(), Type.Unknown()),
});

export const definition = {
  name: 'convert_length',
  description: 'Converts a length from one unit to another.',
  parameters: { ...Arguments } as Record<string, unknown>,
};
`;

/** A function that language models can call. */
export const tool = template({
  atoll: (id) => ({ mounts: [`/api/v1/${id}`], provides: { [id]: '1.0.0' } }),
  about: (id) =>
    `the tool \`convert_length\` for language models. \`GET /api/v1/${id}\` tells its name, description and JSON Schema, ready for \`tools\` of a chat; \`POST /api/v1/${id}\` takes the arguments that a model gives and answers with the result. Other plugins do the same by the service \`${id}\` (\`definition\`, \`run\`).`,
  files: { 'src/contract.ts': CONTRACT },
  entry: (id) => `import { defineService, definePlugin } from '@atoll/plugin-sdk';
import { Arguments, Definition, definition, Result, type Unit } from './contract.js';

const METRES: Record<Unit, number> = { m: 1, km: 1000, mi: 1609.344, ft: 0.3048 };

const convert = ({ value, from, to }: { value: number; from: Unit; to: Unit }) => ({
  value: (value * METRES[from]) / METRES[to],
  unit: to,
});

const contract = defineService({
  name: '${id}',
  version: '1.0.0',
  methods: { definition: { output: Definition }, run: { input: Arguments, output: Result } },
});

export default definePlugin(({ http, services }) => {
  http.get('/', { response: Definition }, () => definition);
  http.post('/', { body: Arguments, response: Result }, ({ body }) => convert(body));

  services.provide(contract, { definition: () => definition, run: convert });
});
`,
  test: (id) => `import { testPlugin } from '@atoll/plugin-sdk/testing';
import { expect, it } from 'vitest';

it('says what it takes, does it, and refuses what it does not take', async () => {
  const plugin = await testPlugin(new URL('..', import.meta.url));
  try {
    const definition = (await plugin.request('GET', '/api/v1/${id}')).json();
    expect(definition).toMatchObject({ name: 'convert_length', parameters: { required: ['value', 'from', 'to'] } });
    const done = await plugin.request('POST', '/api/v1/${id}', { json: { value: 5, from: 'km', to: 'm' } });
    expect(done.json()).toEqual({ value: 5000, unit: 'm' });
    const refused = await plugin.request('POST', '/api/v1/${id}', { json: { value: 5, from: 'parsec', to: 'm' } });
    expect(refused.status).toBe(422);
  } finally {
    await plugin.close();
  }
});
`,
});
