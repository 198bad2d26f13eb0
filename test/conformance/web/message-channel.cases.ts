import { bytes, equal, ok, sleep, test, throws } from '../harness.js';

const nextMessage = (port: MessagePort) =>
  new Promise<MessageEvent>((resolve) => {
    port.onmessage = resolve;
  });

test('messages arrive in order, later, as copies', async () => {
  const { port1, port2 } = new MessageChannel();
  const seen: unknown[] = [];
  const sent = { a: 1 };
  port1.postMessage(sent);
  port1.postMessage('second');
  sent.a = 2;
  port2.onmessage = (event) => seen.push(event.data);
  equal(seen, []);
  await sleep(10);
  equal(seen, [{ a: 1 }, 'second']);
});

test('a port waits for start, or for onmessage', async () => {
  const { port1, port2 } = new MessageChannel();
  const seen: unknown[] = [];
  port2.addEventListener('message', (event) => seen.push((event as MessageEvent).data));
  port1.postMessage(1);
  await sleep(5);
  equal(seen, []);
  port2.start();
  await sleep(5);
  equal(seen, [1]);
});

test('both ways', async () => {
  const { port1, port2 } = new MessageChannel();
  port2.onmessage = (event) => port2.postMessage(event.data * 2);
  port1.postMessage(21);
  equal((await nextMessage(port1)).data, 42);
});

test('buffers are transferred, what cannot be cloned is refused', async () => {
  const { port1, port2 } = new MessageChannel();
  const data = bytes(1, 2);
  port1.postMessage(data, [data.buffer]);
  equal(data.byteLength, 0);
  equal((await nextMessage(port2)).data, bytes(1, 2));
  throws('DataCloneError', () => port1.postMessage(() => {}));
  throws('DataCloneError', () => port1.postMessage(null, [port1]));
  throws('DataCloneError', () => port1.postMessage(port2));
  throws(TypeError, () => (port1.postMessage as () => void)());
});

test('ports can be sent, with the messages that wait in them', async () => {
  const outer = new MessageChannel();
  const inner = new MessageChannel();
  inner.port1.postMessage('early');
  outer.port1.postMessage({ port: inner.port2 }, [inner.port2]);
  const event = await nextMessage(outer.port2);
  const port = event.data.port as MessagePort;
  ok(port instanceof MessagePort && event.ports[0] === port);
  equal((await nextMessage(port)).data, 'early');
  throws('DataCloneError', () => outer.port1.postMessage(null, [inner.port2]));
});

test('a closed port is silent', async () => {
  const { port1, port2 } = new MessageChannel();
  const seen: unknown[] = [];
  port2.onmessage = (event) => seen.push(event.data);
  port2.close();
  port1.postMessage(1);
  await sleep(5);
  equal(seen, []);
});

test('ports come from channels only', () =>
  throws(TypeError, () => new (MessagePort as unknown as new () => unknown)()));
