import { defineConfig } from '@atoll/kernel/config';

/** NODE_ENV=production: more spare cells, because a restart under load has to be quick. */
export default defineConfig({ sandbox: { spares: 2 } });
