// The order matters: later ones use the globals of earlier ones while they load.
import './dom-exception.js';
import './base64.js';
import './timers.js';
import './console.js';
import './event.js';
import './event-target.js';
import './global-scope.js';
import './performance.js';
import './abort.js';
import './encoding.js';
import './clone.js';
import './crypto.js';
import { defineGlobal } from './define.js';
import { refuseClones } from './clone.js';
import { connectHost, type WebHost } from './host.js';
import { defineLazily } from './lazy.js';
import { startClock } from './clock.js';

export { setTaskWrapper } from './task.js';
export { isMaterialised } from './lazy.js';
export { fireTimer } from './timers.js';
export { stepClock } from './clock.js';

refuseClones(EventTarget, Event, TextDecoder, CryptoKey, AbortController);
// Not `import`: the bundler wraps what is required into a function, and the engine compiles that when it is called.
defineLazily(() => require('./on-demand.js'));
defineGlobal('self', globalThis);
defineGlobal('navigator', Object.freeze({ userAgent: 'Atoll' }));

/** Connects the web APIs to the host; called once, after the engine snapshot is restored. */
export function connectWeb(host: WebHost): void {
  // In a restored snapshot they are back: the engine adds them to every new context.
  for (const name of ['WebAssembly', 'SharedArrayBuffer', 'Atomics']) Reflect.deleteProperty(globalThis, name);
  connectHost(host);
  startClock();
}
