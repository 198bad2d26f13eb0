import { AtollError, type JsonSchema } from '@atoll/plugin-sdk/contract';
import { Compile } from 'typebox/compile';
import { Settings } from 'typebox/system';
import { armSchema } from './arm.js';
import { startBudget, TooMuchWork } from './budget.js';
import { Shaper } from './coerce.js';
import { type FieldError, fieldErrors } from './field-errors.js';
import { sanitizeSchema } from './sanitize.js';

export type { FieldError } from './field-errors.js';

/** A compiled schema of a plugin. */
export interface Validator {
  /** The schema as plain JSON Schema; definitions are at its top, references are `#/$defs/<name>`. */
  readonly schema: JsonSchema;
  /** Whether `parse` fills anything in. */
  readonly hasDefaults: boolean;
  check(value: unknown): boolean;
  /** What is wrong, one entry per place, at most 20. */
  errors(value: unknown): FieldError[];
  /**
   * The value with coercion (for texts of queries and paths) and defaults, as asked for at compiling; the value itself when
   * nothing changes. Throws VALIDATION_FAILED for what is nested too deeply.
   */
  parse(value: unknown): unknown;
}

export interface ValidatorOptions {
  /** Texts become numbers, booleans and lists where the schema wants them. */
  coerce?: boolean;
  defaults?: boolean;
}

// The branches of a union come before the union itself: with typebox's limit of 8 the telling error would get lost.
Settings.Set({ maxErrors: 64 });

/** Compiles an untrusted schema. Throws MANIFEST_INVALID when it is unacceptable. */
export function compileGuestSchema(schema: JsonSchema, options: ValidatorOptions = {}): Validator {
  const plain = sanitizeSchema(schema);
  const compiled = compile(plain);
  const shaper = new Shaper(plain);
  const hasDefaults = options.defaults === true && shaper.hasDefaults();
  return {
    schema: plain,
    hasDefaults,
    check: (value) =>
      bounded(
        () => compiled.Check(value),
        () => false,
      ),
    errors: (value) =>
      bounded(
        () => fieldErrors([...compiled.Errors(value)], plain),
        (message) => [{ pointer: '', message }],
      ),
    parse: (value) =>
      bounded(
        () => {
          const coerced = options.coerce ? shaper.coerce(value) : value;
          return hasDefaults ? shaper.fill(coerced) : coerced;
        },
        (message) => {
          throw new AtollError('VALIDATION_FAILED', `The input ${message}.`, { errors: [{ pointer: '', message }] });
        },
      ),
  };
}

function compile(plain: JsonSchema): ReturnType<typeof Compile> {
  try {
    return Compile(armSchema(plain) as Parameters<typeof Compile>[0]);
  } catch (error) {
    throw new AtollError('MANIFEST_INVALID', `A schema does not compile: ${(error as Error).message}.`);
  }
}

/** Values that overflow the stack, or take too many steps, are at fault themselves. */
function bounded<T>(run: () => T, tooMuch: (message: string) => T): T {
  startBudget();
  try {
    return run();
  } catch (error) {
    if (error instanceof TooMuchWork) return tooMuch('takes too long to check');
    if (error instanceof RangeError) return tooMuch('is nested too deeply');
    throw error;
  }
}
