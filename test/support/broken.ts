/** Ways in which a new version of a plugin can be no good. */
export interface BrokenVersion {
  /** Body of its setup; `source` replaces the whole entry file. */
  setup?: string;
  source?: string;
  /** Members of its manifest. */
  atoll?: Record<string, unknown>;
  /** Members of its package.json; text replaces the whole file. */
  packageJson?: Record<string, unknown> | string;
}

const imports = "import { definePlugin, Type } from '@atoll/plugin-sdk';\n";
const whole = (before: string) => `${imports}${before}\nexport default definePlugin(() => {});`;
const receive = (body: string) =>
  `lifecycle.onHandoff({ version: 2, give: () => 1, receive: async () => { ${body} } });`;

export const BROKEN: Record<string, BrokenVersion> = {
  'throws in setup': { setup: "throw new Error('no');" },
  'throws nothing in setup': { setup: 'throw undefined;' },
  'throws a proxy in setup': { setup: 'throw new Proxy({}, { get() { throw new Error("no"); } });' },
  'rejects in setup': { setup: "return Promise.reject(new Error('no'));" },
  'never ends setup': { setup: 'return new Promise(() => {});' },
  'loops in setup': { setup: 'for (;;) {}' },
  'loops in microtasks': { setup: 'const f = () => Promise.resolve().then(f); return f();' },
  'overflows the stack': { setup: 'const f = () => f(); f();' },
  'throws at the top': { source: whole("throw new Error('top');") },
  'loops at the top': { source: whole('for (;;) {}') },
  'exhausts memory at the top': { source: whole('const all = []; for (;;) all.push({ a: [all.length] });') },
  'does not parse': { source: 'export default {{{' },
  'imports what is not there': { source: `import './not-there.js';\n${whole('')}` },
  'imports a module of Node': { source: `import 'node:fs';\n${whole('')}` },
  'exports nothing': { source: 'const nothing = 1;' },
  'exports something else': { source: 'export default { setup: 1 };' },
  'is no text': { source: '\u0000\u0001\u0002' },
  'exhausts memory with arrays': { setup: 'const all = []; for (;;) all.push(new Array(1000).fill(0));' },
  'exhausts memory with buffers': { setup: 'const all = []; for (;;) all.push(new Uint8Array(1e7).fill(1));' },
  'exhausts memory with a string': { setup: 'let s = "x"; for (;;) s += s;' },
  'ends its process with a Map': { setup: 'const m = new Map(); for (let i = 0; ; i++) m.set(i, { i });' },
  'ends its process with an array': { setup: 'new Array(5e7).fill(1.1);' },
  'squares numbers without end': { setup: 'let x = 3n; for (;;) x = x * x;' },
  'has a regular expression without end': { setup: '/^(a+)+$/.test("a".repeat(40) + "!");' },
  'takes the promises away': { setup: 'Promise.prototype.then = () => { throw 1; }; throw 1;' },
  'floods the log, then throws': {
    setup: 'for (let n = 0; n < 1e5; n++) log.info("x".repeat(100)); throw new Error("no");',
  },
  'waits for a server it may not reach': { setup: "return fetch('http://127.0.0.1:1/');" },
  'is not healthy': { setup: 'lifecycle.onHealth(() => false);' },
  'throws at the question for its health': { setup: "lifecycle.onHealth(() => { throw new Error('ill'); });" },
  'does not answer for its health': { setup: 'lifecycle.onHealth(() => new Promise(() => {}));' },
  'loops at the question for its health': { setup: 'lifecycle.onHealth(() => { for (;;) {} });' },
  'dies at the question for its health': { setup: 'lifecycle.onHealth(() => { new Array(5e7).fill(1.1); });' },
  'throws at the state': { setup: receive("throw new Error('what is this?');") },
  'does not take the state': { setup: receive('await new Promise(() => {});') },
  'loops at the state': { setup: receive('for (;;) {}') },
  'dies at the state': { setup: receive('const m = new Map(); for (let i = 0; ; i++) m.set(i, { i });') },
  'has no version of its state': { setup: "lifecycle.onHandoff({ version: 'x' });" },
  'has a route twice': { setup: "http.get('/a', () => 1); http.get('/a', () => 2);" },
  'has routes that differ in a name only': { setup: "http.get('/:a', () => 1); http.get('/:b', () => 2);" },
  'has a malformed route': { setup: "http.get('/:', () => 1);" },
  'has a malformed schema': { setup: "http.post('/s', { body: { type: 'nothing' } }, () => 1);" },
  'has a schema that takes forever': {
    setup: "http.post('/s', { body: Type.String({ pattern: '^(a|a)*$(?=b)' }) }, () => 1);",
  },
  'provides what its manifest does not say': {
    setup: "services.provide({ name: 'other', version: '1.0.0', methods: { a: {} } }, { a: () => 1 });",
  },
  'listens to what it may not': { setup: "events.on('user.created', () => {});" },
  'stores although it may not': { setup: "storage.collection('notes', { schema: Type.Object({}) });" },
  'has a schedule that never comes': { setup: "schedule.cron('x', 'never', () => {});" },
  'has a channel twice': { setup: "ws.channel('a', Type.Any(), () => 1); ws.channel('a', Type.Any(), () => 1);" },
  'has no manifest': { packageJson: '{' },
  'has another id': { atoll: { id: 'other' } },
  'has no version': { packageJson: { version: 'one' } },
  'is for another kernel': { atoll: { engine: '^99.0.0' } },
  "has a neighbour's mount": { atoll: { mounts: ['/x/neighbour'] } },
  'needs a plugin that is not there': { atoll: { dependencies: { absent: '^1.0.0' } } },
  'needs a service that is not there': { atoll: { consumes: { absent: '^1.0.0' } } },
  'needs configuration that is not there': {
    atoll: { config: { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] } },
  },
  'has less memory than there can be': { atoll: { limits: { memoryMb: 0 } } },
  'has no entry file': { atoll: { entry: 'src/none.ts' } },
  'has an entry file elsewhere': { atoll: { entry: '../../etc/passwd' } },
};
