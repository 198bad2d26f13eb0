import { Type } from 'typebox';
import type { Identity } from '../identity/index.js';
import { actorOf, type KernelRequest } from '../http/kernel-route.js';

/** What the routes about users, keys and roles have in common. */
export const Text = (maxLength: number) => Type.String({ minLength: 1, maxLength });
export const Id = Text(100);
export const Time = Type.String({ format: 'date-time' });
export const Names = Type.Array(Text(150), { maxItems: 200, uniqueItems: true });
export const Password = Type.String({ minLength: 1, maxLength: 256 });
export const Username = Type.String({
  minLength: 1,
  maxLength: 100,
  pattern: '^[\\p{L}\\p{N}][\\p{L}\\p{N}._@+-]*$',
  description: 'Letters, digits and . _ @ + -; upper and lower case are the same.',
});
export const closed = { additionalProperties: false };
/** Those who manage all organisations name the one that is meant; one's own when absent. */
export const InOrganisation = { organisation: Type.Optional(Id) };

/** Who asks, and which organisation it is about. */
export async function scopeOf({ organisations }: Identity, request: KernelRequest) {
  const actor = actorOf(request);
  return { actor, organisation: await organisations.chosen(actor, request.query.organisation) };
}
