import type { ProblemDetails } from '@atoll/plugin-sdk/contract';
import type { ErrorTemplate } from '../plugins/types.js';

/** A problem in the plugin's own form, as JSON; undefined when it has none, or one that is of no use: then the problem has to do. */
export function ownForm(template: ErrorTemplate | undefined, problem: ProblemDetails): string | undefined {
  if (!template) return undefined;
  try {
    return JSON.stringify(fillErrorTemplate(template, problem));
  } catch {
    return undefined;
  }
}

/** Fills a plugin's error body from a problem. Placeholders: {detail} {code} {title} {status} {type} {instance}. */
export function fillErrorTemplate({ body, types = {} }: ErrorTemplate, problem: ProblemDetails): unknown {
  const status = String(problem.status);
  const type = types[status] ?? types[`${status[0]}xx`] ?? problem.type;
  const values: Record<string, unknown> = { ...problem, type };
  const fill = (value: unknown): unknown => {
    if (typeof value === 'string') return fillText(value, values);
    if (Array.isArray(value)) return value.map(fill);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item)]));
  };
  return fill(body);
}

function fillText(text: string, values: Record<string, unknown>): unknown {
  // A lone placeholder keeps the value's type: a status stays a number.
  const lone = /^\{([a-z]+)\}$/.exec(text)?.[1];
  if (lone) return values[lone] ?? null;
  return text.replace(/\{(detail|code|title|status|type|instance)\}/g, (_, name: string) => String(values[name] ?? ''));
}
