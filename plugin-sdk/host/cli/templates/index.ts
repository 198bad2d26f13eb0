import { event } from './event.js';
import type { Template } from './files.js';
import { http } from './http.js';
import { provider } from './provider.js';
import { scheduled } from './scheduled.js';
import { tool } from './tool.js';

/** What `atoll create --template` can start from. */
export const TEMPLATES = { http, event, provider, tool, scheduled } as const satisfies Record<string, Template>;

export type TemplateName = keyof typeof TEMPLATES;
