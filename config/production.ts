import { defineConfig } from '@atoll/kernel/config';

/**
 * NODE_ENV=production: more spare cells, because a restart under load has to be quick; packages of others need the signature of a key
 * that an operator trusts.
 */
export default defineConfig({ sandbox: { spares: 2 }, marketplace: { signatures: 'required' } });
