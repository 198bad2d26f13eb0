import pino from 'pino';
import type { Config } from '../config/index.js';
import { prettyDestination } from './pretty.js';

export type Logger = pino.Logger;

/** Structured logs on stdout, one JSON object a line; for people when `pretty` is set. */
export function createLogger({ level, pretty }: Config['log'], destination?: pino.DestinationStream): Logger {
  const options: pino.LoggerOptions = {
    level,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: {
      paths: ['*.authorization', '*.cookie', 'authorization', 'cookie', 'key', 'adminKey'],
      censor: '********',
    },
  };
  const to = destination ?? (pretty ? prettyDestination() : undefined);
  return to ? pino(options, to) : pino(options);
}
