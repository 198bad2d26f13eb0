import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of this installation: where `plugins/`, `config/` and, by default, the data directory are. */
export const INSTALLATION = path.resolve(fileURLToPath(new URL('../../../', import.meta.url)));
