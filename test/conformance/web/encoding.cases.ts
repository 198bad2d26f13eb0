import { bytes, chunksOf, equal, rejects, streamOf, test, throws } from '../harness.js';

const encoder = new TextEncoder();

test('encodes UTF-8', () => {
  equal(encoder.encoding, 'utf-8');
  equal(encoder.encode('aé€🍣'), bytes(97, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x8d, 0xa3));
  equal(encoder.encode(), bytes());
  equal(encoder.encode(undefined), bytes());
  equal(encoder.encode(null as never), bytes(110, 117, 108, 108));
});

test('encodes lone surrogates as the replacement character', () => {
  equal(encoder.encode('\ud800'), bytes(0xef, 0xbf, 0xbd));
  equal(encoder.encode('a\udc00b'), bytes(97, 0xef, 0xbf, 0xbd, 98));
  equal(encoder.encode('\udc00\ud800'), bytes(0xef, 0xbf, 0xbd, 0xef, 0xbf, 0xbd));
});

test('encodeInto stops before a character that does not fit', () => {
  const target = new Uint8Array(5);
  equal(encoder.encodeInto('a€€', target), { read: 2, written: 4 });
  equal(target, bytes(97, 0xe2, 0x82, 0xac, 0));
  equal(encoder.encodeInto('🍣', new Uint8Array(3)), { read: 0, written: 0 });
  equal(encoder.encodeInto('🍣', new Uint8Array(4)), { read: 2, written: 4 });
  equal(encoder.encodeInto('x', new Uint8Array(0)), { read: 0, written: 0 });
  throws(TypeError, () => encoder.encodeInto('x', new Uint16Array(4) as never));
});

/** Broken UTF-8 and what it reads as. */
const BROKEN: [number[], string][] = [
  [[0xff], '\ufffd'],
  [[0xc3], '\ufffd'],
  [[0xc0, 0x80], '\ufffd\ufffd'],
  [[0xe2, 0x82], '\ufffd'],
  [[0xe2, 0x82, 0x41], '\ufffdA'],
  [[0xf0, 0x9f, 0x8d], '\ufffd'],
  [[0xed, 0xa0, 0x80], '\ufffd\ufffd\ufffd'],
  [[0xf4, 0x90, 0x80, 0x80], '\ufffd\ufffd\ufffd\ufffd'],
  [[0xf8, 0x80], '\ufffd\ufffd'],
  [[0x80, 0x41], '\ufffdA'],
];
for (const [input, expected] of BROKEN) {
  test(`broken UTF-8 ${input.map((byte) => byte.toString(16)).join(' ')}`, () => {
    equal(new TextDecoder().decode(bytes(...input)), expected);
    throws(TypeError, () => new TextDecoder('utf-8', { fatal: true }).decode(bytes(...input)));
    const decoder = new TextDecoder();
    let text = '';
    for (const byte of input) text += decoder.decode(bytes(byte), { stream: true });
    equal(text + decoder.decode(), expected, 'byte by byte');
  });
}

test('the byte order mark is dropped once, or kept on demand', () => {
  const marked = bytes(0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf, 65);
  equal(new TextDecoder().decode(marked), '\ufeffA');
  equal(new TextDecoder('utf-8', { ignoreBOM: true }).decode(marked), '\ufeff\ufeffA');
  const decoder = new TextDecoder();
  let text = '';
  for (const byte of marked) text += decoder.decode(bytes(byte), { stream: true });
  equal(text + decoder.decode(), '\ufeffA', 'byte by byte');
  equal(decoder.decode(marked), '\ufeffA', 'and again for the next text');
});

test('split sequences are put together', () => {
  const input = encoder.encode('aé€🍣z');
  for (let cut = 0; cut <= input.length; cut++) {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    equal(
      decoder.decode(input.subarray(0, cut), { stream: true }) + decoder.decode(input.subarray(cut)),
      'aé€🍣z',
      `at ${cut}`,
    );
  }
});

test('a fatal decoder starts anew after an error', () => {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  decoder.decode(bytes(0xe2, 0x82), { stream: true });
  throws(TypeError, () => decoder.decode());
  equal(decoder.decode(bytes(65)), 'A');
});

test('decodes all kinds of bytes', () => {
  const source = encoder.encode('xABCx');
  equal(new TextDecoder().decode(source.buffer), 'xABCx');
  equal(new TextDecoder().decode(source.subarray(1, 4)), 'ABC');
  equal(new TextDecoder().decode(new DataView(source.buffer, 1, 3)), 'ABC');
  equal(new TextDecoder().decode(), '');
  throws(TypeError, () => new TextDecoder().decode('x' as never));
  throws(TypeError, () => new TextDecoder().decode([65] as never));
});

/** Label, encoding, bytes, text. */
const LABELS: [string, string, number[], string][] = [
  ['utf8', 'utf-8', [0xc3, 0xa9], 'é'],
  [' UTF-8\n', 'utf-8', [0xc3, 0xa9], 'é'],
  ['unicode-1-1-utf-8', 'utf-8', [65], 'A'],
  ['utf-16le', 'utf-16le', [0xac, 0x20], '€'],
  ['utf-16', 'utf-16le', [0xff, 0xfe, 0x41, 0], 'A'],
  ['utf-16be', 'utf-16be', [0x20, 0xac], '€'],
  ['latin1', 'windows-1252', [0xe9, 0x80], 'é€'],
  ['ascii', 'windows-1252', [0xe9], 'é'],
  ['iso-8859-1', 'windows-1252', [0xfc], 'ü'],
  ['windows-1251', 'windows-1251', [0xc0], 'А'],
  ['iso-8859-2', 'iso-8859-2', [0xb1], 'ą'],
  ['iso-8859-15', 'iso-8859-15', [0xa4], '€'],
  ['koi8-r', 'koi8-r', [0xc1], 'а'],
  ['macintosh', 'macintosh', [0x8e], 'é'],
  ['ibm866', 'ibm866', [0x80], 'А'],
  ['windows-1254', 'windows-1254', [0xfd], 'ı'],
];
for (const [label, encoding, input, expected] of LABELS) {
  test(`the label ${JSON.stringify(label)}`, () => {
    const decoder = new TextDecoder(label);
    equal([decoder.encoding, decoder.decode(bytes(...input))], [encoding, expected]);
  });
}

test('labels that do not exist, or are not supported here, are a RangeError', () => {
  for (const label of ['utf-7', 'nonsense', '', 'replacement', 'utf-8\u0000'])
    throws(RangeError, () => new TextDecoder(label), label);
  // The multi-byte encodings of old documents would double the size of every isolate's prelude.
  for (const label of ['shift_jis', 'gbk', 'big5', 'euc-kr']) throws(RangeError, () => new TextDecoder(label), label);
});

test('utf-16 with odd bytes and lone surrogates', () => {
  equal(new TextDecoder('utf-16le').decode(bytes(0x41, 0, 0x42)), 'A\ufffd');
  equal(new TextDecoder('utf-16le').decode(bytes(0, 0xd8, 0x41, 0)), '\ufffdA');
  const decoder = new TextDecoder('utf-16le');
  let text = '';
  for (const byte of [0x3c, 0xd8, 0x63, 0xdf]) text += decoder.decode(bytes(byte), { stream: true });
  equal(text + decoder.decode(), '🍣');
});

test('a decoder tells its settings', () => {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  equal([decoder.fatal, decoder.ignoreBOM], [true, true]);
  equal([new TextDecoder().fatal, new TextDecoder().ignoreBOM], [false, false]);
});

test('large texts both ways', () => {
  const text = 'aé€🍣'.repeat(50_000);
  equal(new TextDecoder().decode(encoder.encode(text)) === text, true);
});

test('TextEncoderStream joins surrogates that are cut apart', async () => {
  const chunks = await chunksOf(streamOf('a\ud83c', '\udf63b', '\ud83c').pipeThrough(new TextEncoderStream()));
  equal(new TextDecoder().decode(await new Blob(chunks).arrayBuffer()), 'a🍣b\ufffd');
  equal(new TextEncoderStream().encoding, 'utf-8');
  equal(await chunksOf(streamOf('', '').pipeThrough(new TextEncoderStream())), []);
});

test('TextEncoderStream takes what can become text', async () => {
  const chunks = await chunksOf(streamOf(5 as never, null as never).pipeThrough(new TextEncoderStream()));
  equal(chunks, [bytes(53), bytes(110, 117, 108, 108)]);
  await rejects(TypeError, chunksOf(streamOf(Symbol('x') as never).pipeThrough(new TextEncoderStream())));
});

test('TextDecoderStream puts characters together', async () => {
  const input = encoder.encode('é🍣');
  const pieces = [...input].map((byte) => bytes(byte));
  equal((await chunksOf(streamOf(...pieces).pipeThrough(new TextDecoderStream()))).join(''), 'é🍣');
  equal((await chunksOf(streamOf(input.subarray(0, 1)).pipeThrough(new TextDecoderStream()))).join(''), '\ufffd');
});

test('TextDecoderStream is fatal on demand', async () => {
  const decode = (...chunks: Uint8Array<ArrayBuffer>[]) =>
    chunksOf(streamOf(...chunks).pipeThrough(new TextDecoderStream('utf-8', { fatal: true })));
  await rejects(TypeError, decode(bytes(0xff)));
  await rejects(TypeError, decode(bytes(0xe2)));
  throws(RangeError, () => new TextDecoderStream('nonsense'));
  const stream = new TextDecoderStream('latin1', { fatal: true, ignoreBOM: true });
  equal([stream.encoding, stream.fatal, stream.ignoreBOM], ['windows-1252', true, true]);
});

test('TextDecoderStream refuses what is not bytes', async () => {
  await rejects(TypeError, chunksOf(streamOf('text' as never).pipeThrough(new TextDecoderStream())));
});

test('atob and btoa', () => {
  equal(btoa('hello'), 'aGVsbG8=');
  equal([btoa(''), btoa('a'), btoa('ab'), btoa('abc')], ['', 'YQ==', 'YWI=', 'YWJj']);
  equal(btoa('\u0000\u00ff'), 'AP8=');
  equal([btoa(null as never), btoa(12 as never)], ['bnVsbA==', 'MTI=']);
  throws('InvalidCharacterError', () => btoa('é€'));
  equal([atob('aGVsbG8='), atob('aGVsbG8'), atob(' aGVs\nbG8 \t')], ['hello', 'hello', 'hello']);
  equal(atob('AP8='), '\u0000\u00ff');
  for (const wrong of ['a', '=', 'ab=', 'abc==', 'abcde', 'ab=c', '*', 'aGVsbG8===', '\u00a0'])
    throws('InvalidCharacterError', () => atob(wrong), wrong);
  equal(atob('ab=='), 'i');
  const all = Array.from({ length: 256 }, (_, at) => String.fromCharCode(at)).join('');
  equal(atob(btoa(all)), all);
  equal(atob(btoa('x'.repeat(1_000_000))).length, 1_000_000);
});
