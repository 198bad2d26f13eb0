// First: libraries keep the `then` that they find when they load, and theirs has to carry the current call, too.
import './runtime/install-async-context.js';
import { FrameType } from '../protocol/frame-type.js';
import { bindCall } from './runtime/async-context.js';
import { installClock } from './runtime/clock.js';
import { makeDeliver } from './runtime/deliver.js';
import { installPlugin } from './runtime/plugin.js';
import { outbox, type Post } from './runtime/post.js';
import { installRandom } from './runtime/random.js';
import { BridgeWebHost } from './runtime/web-host.js';
import { connectWeb, fireTimer, setTaskWrapper, stepClock } from './web/index.js';

/*
 * The guest's side of the sandbox. Evaluated once per engine snapshot; what needs the host waits for the boot function, which
 * the engine calls once and removes.
 */
setTaskWrapper(bindCall);
installPlugin();

function boot(post: Post, postSync: Post, sync: (operation: string, argument: string) => string) {
  outbox.connect(post, postSync);
  const host = new BridgeWebHost(sync);
  connectWeb(host);
  installClock(fireTimer, (clock) => {
    host.clock = clock;
  });
  installRandom((random) => {
    host.random = random;
  });
  return makeDeliver((type, id, meta, body) => {
    if (type === FrameType.TIMER_FIRE) fireTimer(id);
    else if (type === FrameType.LOCAL_RESULT) host.onLocalResult(id, meta, body);
    // A manual clock is nobody's to set.
    else if (type === FrameType.CLOCK_STEP && !host.clock) stepClock(Number(meta));
  });
}

Object.defineProperty(globalThis, '__atollBoot', { value: boot, configurable: true, enumerable: false });
