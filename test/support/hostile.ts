/** Code that attacks its host, as the body of a route handler. Each has to end as that plugin's failed call. */
export const HOSTILE: Record<string, string> = {
  'Map growth': 'const m = new Map(); for (let i = 0; ; i++) m.set(i, { i });',
  'huge array fill': 'return new Array(5e7).fill(1.1).length;',
  'nested JSON': 'return JSON.parse("[".repeat(2e7) + "]".repeat(2e7)).length;',
  'array length and fill': 'const a = []; a.length = 4e7; a.fill({}); return a.length;',
  'BigInt squaring': 'let x = 3n; for (;;) x = x * x;',
  'endless sort': 'for (;;) Array.from({ length: 3e6 }, Math.random).sort();',
  'stack overflow': 'const f = () => f(); return f();',
  RangeError: 'throw new RangeError("Array buffer allocation failed");',
  'infinite loop': 'for (;;) {}',
  'microtask loop': 'const f = () => Promise.resolve().then(f); await f();',
  'async spin': 'await new Promise((r) => setTimeout(r, 50)); for (;;) {}',
  'catastrophic regex': 'return /^(a+)+$/.test("a".repeat(40) + "!");',
  'JSON loops': 'const big = JSON.stringify(Array.from({ length: 1e5 }, (_, i) => i)); for (;;) JSON.parse(big);',
  'typed array growth': 'const all = []; for (;;) all.push(new Uint8Array(1e7).fill(1));',
  'string doubling': 'let s = "x"; for (;;) s += s;',
  'string repeat': 'return ".".repeat(1e9).length;',
  'small objects': 'const all = []; for (;;) all.push({ a: [all.length] });',
  'promise leak':
    'const all = []; for (;;) { all.push(new Promise(() => {})); if (all.length % 1e4 === 0) await null; }',
  'never answers': 'await new Promise(() => {});',
  'timer flood': 'for (;;) setTimeout(() => {}, 1e6);',
  'log flood': 'for (;;) { console.log("x".repeat(4000)); await null; }',
  'fetch flood': 'for (;;) { fetch("http://127.0.0.1:1/").catch(() => {}); await null; }',
  'event flood': 'for (;;) { events.emit("evil.x", "y".repeat(10000)).catch(() => {}); await null; }',
  'circular answer': 'const a = {}; a.a = a; return a;',
  'BigInt answer': 'return { n: 1n };',
  'huge answer': 'return "x".repeat(5e7);',
  'huge wide answer': 'return "€".repeat(1.5e7);',
  'huge event': 'await events.emit("evil.x", "€".repeat(1.5e7));',
  'huge request': 'await fetch("http://127.0.0.1:1/", { method: "POST", body: new Uint8Array(2.2e7) });',
  'huge headers': 'return new Response("x", { headers: { x: "y".repeat(5e6) } });',
  'huge chunk': 'return new Response(new ReadableStream({ start(c) { c.enqueue("€".repeat(1.5e7)); c.close(); } }));',
  'odd chunks':
    'return new Response(new ReadableStream({ start(c) { c.enqueue({ length: -1e9, byteLength: 4, byteOffset: 0, buffer: {} }); } }));',
  'function answer': 'return () => {};',
  'throws a proxy':
    'throw new Proxy({}, { get() { throw new Error("no"); }, getPrototypeOf() { throw new Error("no"); } });',
  'hostile getters': 'throw Object.defineProperty(new Error("x"), "stack", { get() { for (;;) {} } });',
  'polluted prototypes':
    'Object.prototype.reference = true; Object.prototype.copy = false; Array.prototype.push = () => { throw 1; }; JSON.stringify = () => "}{"; return { ok: true };',
  'broken promises':
    'Promise.prototype.then = () => { throw new Error("then"); }; return await fetch("http://127.0.0.1:1/");',
  'bad headers': 'return new Response("x", { headers: { "x-a": "b\\u00e9" }, status: 599 });',
  'endless stream':
    'return new Response(new ReadableStream({ pull(c) { for (let i = 0; i < 1e9; i++) c.enqueue(new Uint8Array(65536)); } }));',
  'forged metric':
    'JSON.stringify = () => \'{"kind":{"toString":1,"valueOf":1},"name":"a","value":1}\'; metrics.increment("a"); return {};',
  'deeply nested error':
    'const deep = "[".repeat(20000) + "]".repeat(20000); http.get("/later", () => 1); JSON.stringify = () => \'{"code":"PLUGIN_ERROR","message":"x","extras":{"a":\' + deep + "}}"; throw new Error("x");',
  'lying status':
    'return Object.defineProperty(new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(10)); } })), "status", { value: 99 });',
  'log in disguise':
    'const j = Array.prototype.join; JSON.stringify = () => \' {"level":"info","message":"\' + "x".repeat(1e6) + \'"}\'; Array.prototype.join = function (s) { return j.call(this, s).replace(/^9,0,1,11,(\\d+)$/, (_, n) => "9,0,1,12," + (n - 1)); }; for (;;) { console.log("x"); await null; }',
  'event of many values':
    'const text = \'{"topic":"evil.x","data":[\' + "{},".repeat(1e6) + "0]}"; for (;;) { JSON.stringify = () => text; await events.emit("evil.x", 1).catch(() => {}); }',
  'registration flood':
    'const push = Array.prototype.push; Array.prototype.push = function (...a) { push.apply(this, a); return 1; }; for (let n = 0; ; n++) { http.get("/r" + n, () => 1); events.on("evil.x", () => {}); if (n % 100 === 0) await new Promise((r) => setTimeout(r, 1)); }',
  'random hog': 'for (;;) crypto.getRandomValues(new Uint8Array(65536));',
  'crypto hog':
    'for (;;) { crypto.subtle.generateKey({ name: "RSA-PSS", modulusLength: 4096, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" }, true, ["sign"]).catch(() => {}); await null; }',
};
