const LITERAL = /\b[eE]'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|\$(\w*)\$[\s\S]*?\$\1\$/g;
const MAX_LENGTH = 1_000;

/** SQL for logs and errors: without the values in it, which may be secret, and not too long. */
export function withoutLiterals(sql: string): string {
  const text = sql.replace(LITERAL, '?').replace(/\s+/g, ' ').trim();
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text;
}
