import type { Evidence } from './evidence.js';
import { type Schema, typeOf } from './schema.js';

/** A number within the schema's bounds: the text's if it fits, else the nearest that does. */
export function makeNumber(schema: Schema, evidence: Evidence, name: string, must: boolean): number | undefined {
  const found = evidence.number(name);
  if (found !== undefined) return fit(found, schema, name);
  if (!must) return undefined;
  return typeof schema.default === 'number' ? schema.default : fit(0, schema, name);
}

function fit(value: number, schema: Schema, name: string): number {
  const whole = typeOf(schema) === 'integer';
  const step = schema.multipleOf ?? (whole ? 1 : undefined);
  const { low, high } = bounds(schema, step);
  const clamped = Math.min(Math.max(value, low), high);
  if (step === undefined) return check(clamped, low, high, name);
  const rounded = Math.round(clamped / step) * step;
  const inside =
    rounded < low ? Math.ceil(low / step) * step : rounded > high ? Math.floor(high / step) * step : rounded;
  return check(Number(inside.toPrecision(15)), low, high, name);
}

/** Exclusive bounds become inclusive ones, one step (or a small distance) further in. */
function bounds(schema: Schema, step: number | undefined): { low: number; high: number } {
  const { minimum = -Infinity, maximum = Infinity, exclusiveMinimum = -Infinity, exclusiveMaximum = Infinity } = schema;
  const gap = step ?? Math.min(1, (Math.min(maximum, exclusiveMaximum) - Math.max(minimum, exclusiveMinimum)) / 4);
  return {
    low: Math.max(minimum, exclusiveMinimum === -Infinity ? exclusiveMinimum : exclusiveMinimum + gap),
    high: Math.min(maximum, exclusiveMaximum === Infinity ? exclusiveMaximum : exclusiveMaximum - gap),
  };
}

function check(value: number, low: number, high: number, name: string): number {
  // Steps of nothing, and those beyond what a number can hold, give none at all.
  if (!(value >= low && value <= high && Number.isFinite(value))) throw new RangeError(`no number fits "${name}"`);
  return value;
}
