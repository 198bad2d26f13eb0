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
import './streams.js';
import './url.js';
import './clone.js';
import './blob.js';
import './message-channel.js';
import './compression.js';
import './fetch.js';
import './crypto.js';
import { defineGlobal } from './define.js';
import { refuseClones } from './clone.js';
import { connectHost, type WebHost } from './host.js';
import { startClock } from './clock.js';

export { setTaskWrapper } from './task.js';
export { fireTimer } from './timers.js';

refuseClones(
  URL, URLSearchParams, Headers, Request, Response, FormData, EventTarget, Event, ReadableStream, WritableStream,
  TransformStream, TextDecoder, CryptoKey, AbortController,
); // biome-ignore format: a list
defineGlobal('self', globalThis);
defineGlobal('navigator', Object.freeze({ userAgent: 'Atoll' }));

/** Connects the web APIs to the host; called once, after the engine snapshot is restored. */
export function connectWeb(host: WebHost): void {
  // In a restored snapshot they are back: the engine adds them to every new context.
  for (const name of ['WebAssembly', 'SharedArrayBuffer', 'Atomics']) Reflect.deleteProperty(globalThis, name);
  connectHost(host);
  startClock();
}
