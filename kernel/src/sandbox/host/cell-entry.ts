import { fileURLToPath } from 'node:url';

/** The cell's entry file. Always the built one: also when this module itself runs from source, under a test runner. */
export const CELL_ENTRY = fileURLToPath(new URL('../../../dist/sandbox/cell/main.js', import.meta.url));
