import { isUnset } from './schema.js';
import { unsupported } from './problem.js';

/**
 * Options that would change the answer but that no provider here can honour; the rest of what is unknown is ignored.
 */
const REFUSED: Record<string, (value: unknown) => string | undefined> = {
  n: (value) => (value === 1 ? undefined : 'only one answer per request (n = 1); send several requests for several'),
  store: (value) => (value === true ? 'nothing is stored here; leave store out' : undefined),
  functions: (value) => (isEmpty(value) ? undefined : 'functions are called tools now; use tools'),
  function_call: () => 'functions are called tools now; use tool_choice',
  audio: () => 'no audio output',
  modalities: (value) => (onlyText(value) ? undefined : 'only text output'),
  web_search_options: () => 'no web search',
  verbosity: (value) => (value === 'medium' ? undefined : 'no verbosity; say it in the prompt'),
};

export function refuseOptions(body: object): void {
  for (const [name, check] of Object.entries(REFUSED)) {
    const value = (body as Record<string, unknown>)[name];
    if (isUnset(value)) continue;
    const reason = check(value);
    if (reason !== undefined) throw unsupported(`${name}: ${reason}.`);
  }
}

const isEmpty = (value: unknown) => Array.isArray(value) && value.length === 0;
const onlyText = (value: unknown) => Array.isArray(value) && value.every((item) => item === 'text');
