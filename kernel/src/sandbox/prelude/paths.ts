import { fileURLToPath } from 'node:url';

/** The kernel's package folder, from src as well as from dist. */
export const KERNEL_ROOT = fileURLToPath(new URL('../../../', import.meta.url));
