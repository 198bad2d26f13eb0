import { collectNothingAtRest } from './warm-code.js';

// Before anything else is loaded, and so before any thread has a heap that the engine has begun to count for.
collectNothingAtRest();
await import('./kernel-process.js');
