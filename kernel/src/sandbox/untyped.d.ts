declare module 'tr46' {
  export function toASCII(domain: string, options?: object): string | null;
  export function toUnicode(domain: string, options?: object): { domain: string; error: boolean };
}
