/** Subresource integrity: `sha256-<base64> sha512-<base64>?options`, of which the strongest kind counts. */
const STRENGTH = ['sha256', 'sha384', 'sha512'] as const;

interface Wanted {
  algorithm: string;
  digest: string;
}

function parse(metadata: string): Wanted[] {
  const all = metadata.split(/\s+/).flatMap((item) => {
    const [, algorithm, digest] = /^(sha256|sha384|sha512)-([A-Za-z0-9+/_-]+={0,2})(\?|$)/i.exec(item) ?? [];
    if (!algorithm || !digest) return [];
    return [{ algorithm: algorithm.toLowerCase(), digest: digest.replaceAll('-', '+').replaceAll('_', '/') }];
  });
  const strongest = STRENGTH.findLast((name) => all.some(({ algorithm }) => algorithm === name));
  return all.filter(({ algorithm }) => algorithm === strongest);
}

/** The body, once it is known to be one of those that are wanted: it has to be read whole for that. */
export async function verified(
  body: ReadableStream<Uint8Array> | null,
  metadata: string,
): Promise<ReadableStream<Uint8Array> | null> {
  const [first, ...others] = parse(metadata);
  // As browsers do: what is not understood asks for nothing.
  if (!first) return body;
  const bytes = await new Response(body as BodyInit | null).bytes();
  const digest = await crypto.subtle.digest(first.algorithm.replace('sha', 'SHA-'), bytes);
  const found = btoa(String.fromCharCode(...new Uint8Array(digest)));
  if (![first, ...others].some((wanted) => wanted.digest === found))
    throw new TypeError('fetch failed: the answer does not have the wanted integrity.');
  return body && new Response(bytes).body;
}
