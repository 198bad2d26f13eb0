/** Libraries of the prelude without types of their own; each is given its web-standard type where it becomes a global. */
declare module 'whatwg-url' {
  export const URL: unknown;
  export const URLSearchParams: unknown;
}
declare module 'whatwg-url/lib/url-state-machine.js' {
  export interface ParseOptions {
    stateOverride?: string;
  }
  export function basicURLParse(input: string, options?: ParseOptions): import('./shims/plain-url.js').UrlRecord | null;
  export function serializeURL(url: import('./shims/plain-url.js').UrlRecord): string;
}
declare module 'undici/lib/web/fetch/data-url.js' {
  export function dataURLProcessor(url: URL): 'failure' | { mimeType: object; body: Uint8Array };
  export function serializeAMimeType(mimeType: object): string;
}
declare module 'undici/lib/web/fetch/formdata.js' {
  export const FormData: unknown;
}
declare module 'undici/lib/web/fetch/headers.js' {
  export const Headers: unknown;
  export class HeadersList {
    append(name: string, value: string, isLowerCase: boolean): void;
  }
}
/** What is behind a Request or Response, in the fetch standard's own terms. */
interface InnerBody {
  /** What it was made of; null for a stream. */
  source: unknown;
  length: number | null;
}
declare module 'undici/lib/web/fetch/response.js' {
  export const Response: unknown;
  interface InnerResponse {
    type: string;
    status: number;
    statusText: string;
    headersList: import('undici/lib/web/fetch/headers.js').HeadersList;
    /** Read are these two only. */
    urlList: Pick<URL, 'href' | 'hash'>[];
    body: (InnerBody & { stream: ReadableStream<Uint8Array> }) | null;
  }
  export function makeResponse(inner: InnerResponse): InnerResponse;
  export function fromInnerResponse(inner: InnerResponse, guard: 'immutable'): globalThis.Response;
}
declare module 'undici/lib/web/fetch/request.js' {
  export const Request: unknown;
  export function getRequestState(request: globalThis.Request): { body: InnerBody | null };
}
declare const module: { exports: unknown };
declare function require(path: './on-demand.js'): unknown;
