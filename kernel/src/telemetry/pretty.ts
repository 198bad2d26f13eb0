import type { DestinationStream } from 'pino';

const COLOURS: Record<string, number> = { trace: 90, debug: 90, info: 36, warn: 33, error: 31, fatal: 31 };

/** Log lines for a person at a terminal: time, level, message, and what else there is. */
export function prettyDestination(
  out: { write(text: string): unknown; isTTY?: boolean } = process.stdout,
): DestinationStream {
  return { write: (line: string) => void out.write(pretty(line, out.isTTY === true)) };
}

function pretty(line: string, colours: boolean): string {
  const { time, level, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const name = String(level);
  const label = colours ? `\x1b[${COLOURS[name] ?? 0}m${name.padEnd(5)}\x1b[0m` : name.padEnd(5);
  const rest = Object.entries(fields).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const stack = (err as { stack?: string } | undefined)?.stack;
  return `${String(time).slice(11, 23)} ${label} ${msg ?? ''}${rest.join('')}\n${stack ? `${stack}\n` : ''}`;
}
