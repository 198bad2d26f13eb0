/** Libraries of the prelude without types of their own; each is given its web-standard type where it becomes a global. */
declare module 'whatwg-url' {
  export const URL: unknown;
  export const URLSearchParams: unknown;
}
declare module 'undici/lib/web/fetch/formdata.js' {
  export const FormData: unknown;
}
declare module 'undici/lib/web/fetch/headers.js' {
  export const Headers: unknown;
}
declare module 'undici/lib/web/fetch/response.js' {
  export const Response: unknown;
}
declare module 'undici/lib/web/fetch/request.js' {
  export const Request: unknown;
}
declare const module: { exports: unknown };
declare function require(path: './on-demand.js'): unknown;
