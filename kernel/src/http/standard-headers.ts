import { IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import helmet, { type HelmetOptions } from 'helmet';
import type { HttpContext } from './context.js';

export type Header = readonly [name: string, value: string];

/** Headers for browsers that are long gone. */
const LEGACY_OFF = {
  xDnsPrefetchControl: false,
  xDownloadOptions: false,
  xPermittedCrossDomainPolicies: false,
  xXssProtection: false,
} as const;

/** Of what a browser shows or runs. Without TLS there is nothing to upgrade to, and STS must not be sent (RFC 6797, 7.2). */
const DOCUMENT = {
  ...LEGACY_OFF,
  contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } },
  strictTransportSecurity: false,
} as const;
const NOTHING = { defaultSrc: ["'none'"], frameAncestors: ["'none'"] };
/** What is only data needs no rules for documents but that it is none. */
const DATA = {
  ...DOCUMENT,
  contentSecurityPolicy: { useDefaults: false, directives: NOTHING },
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
  referrerPolicy: false,
  xFrameOptions: false,
} as const;

/** They never change, so they are computed once and not by a dozen middlewares for every request. */
const HEADERS = {
  document: { plain: headersOf(DOCUMENT), secure: headersOf(LEGACY_OFF) },
  data: { plain: headersOf(DATA), secure: headersOf({ ...DATA, strictTransportSecurity: true }) },
};

function headersOf(options: HelmetOptions): Header[] {
  const request = new IncomingMessage(new Socket());
  const response = new ServerResponse(request);
  helmet(options)(request, response, () => {});
  const headers: OutgoingHttpHeaders = response.getHeaders();
  return Object.entries(headers).map(([name, value]) => [name, String(value)]);
}

/** What most answers are. */
export const JSON_TYPE = 'application/json; charset=utf-8';
const DATA_TYPE = /^(?:application\/(?:[a-z0-9.+-]{1,100}\+)?json|application\/x-ndjson|text\/event-stream)\s*(?:;|$)/i;

/** What every answer has besides its own headers: its ids, and what browsers may do with it. */
export function standardHeaders(ctx: HttpContext, contentType: string | undefined): Header[] {
  const kind =
    contentType === undefined || contentType === JSON_TYPE || DATA_TYPE.test(contentType) ? 'data' : 'document';
  return [
    ['x-request-id', ctx.state.requestId as string],
    ['traceparent', ctx.state.traceparent as string],
    ...HEADERS[kind][ctx.secure ? 'secure' : 'plain'],
  ];
}

/** Adds them to what is set already, which counts more. */
export function setStandardHeaders(ctx: HttpContext): void {
  const { res } = ctx;
  const type = res.getHeader('content-type');
  for (const [name, value] of standardHeaders(ctx, type === undefined ? undefined : String(type)))
    if (!res.hasHeader(name)) res.setHeader(name, value);
}
