import { AtollError } from '@atoll/plugin-sdk/contract';
import { type Static, Type } from 'typebox';
import { patternProblem } from '../events/index.js';
import { compileGuestSchema, type Validator } from '../schema/index.js';

const Id = Type.Union([Type.String({ minLength: 1, maxLength: 100 }), Type.Integer()]);
const Topic = Type.String({ minLength: 1, maxLength: 200 });
const Topics = Type.Array(Topic, { minItems: 1, maxItems: 100 });

/** What clients send over `/ws`, by type. */
const MESSAGES = {
  subscribe: Type.Object({ id: Id, type: Type.Literal('subscribe'), topics: Topics }),
  unsubscribe: Type.Object({ id: Id, type: Type.Literal('unsubscribe'), topics: Topics }),
  call: Type.Object({
    id: Id,
    type: Type.Literal('call'),
    channel: Type.String({ minLength: 1, maxLength: 200 }),
    data: Type.Optional(Type.Unknown()),
  }),
  /** Gives up the call with this id. */
  cancel: Type.Object({ id: Id, type: Type.Literal('cancel'), target: Id }),
  ping: Type.Object({ id: Id, type: Type.Literal('ping') }),
};
type Messages = typeof MESSAGES;
export type ClientMessage = { [T in keyof Messages]: Static<Messages[T]> }[keyof Messages];
export type MessageId = Static<typeof Id>;

const TYPES = Object.keys(MESSAGES);
// One validator for each type, not one for the union of them: its errors name the field.
const validators = new Map<unknown, Validator>(
  Object.entries(MESSAGES).map(([type, schema]) => [type, compileGuestSchema({ ...schema })]),
);
const validId = compileGuestSchema({ ...Id });

/** Reads a message. `id` is what could be read of it, also when the rest is wrong. */
export function readMessage(text: string): { id?: MessageId; message?: ClientMessage; error?: AtollError } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { error: new AtollError('INVALID_JSON', (error as Error).message.slice(0, 200)) };
  }
  const { id, type } = (typeof value === 'object' && value !== null ? value : {}) as { id?: unknown; type?: unknown };
  const known = validId.check(id) ? { id: id as MessageId } : {};
  const validator = validators.get(type);
  if (!validator) {
    const message = `must be one of ${TYPES.join(', ')}`;
    return { ...known, error: invalid(`The type ${message}.`, [{ pointer: '/type', message }]) };
  }
  const errors = validator.check(value) ? topicErrors(value as ClientMessage) : validator.errors(value);
  if (errors.length === 0) return { ...known, message: value as ClientMessage };
  return { ...known, error: invalid(`A "${String(type)}" message is malformed.`, errors) };
}

function topicErrors(message: ClientMessage): { pointer: string; message: string }[] {
  if (!('topics' in message)) return [];
  return message.topics.flatMap((topic, at) => {
    const problem = patternProblem(topic);
    return problem ? { pointer: `/topics/${at}`, message: `is no topic pattern: ${problem}` } : [];
  });
}

function invalid(detail: string, errors: { pointer: string; message: string }[]): AtollError {
  return new AtollError('VALIDATION_FAILED', detail, { errors });
}
