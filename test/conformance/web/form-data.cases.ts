import { bytes, equal, ok, rejects, test, text, throws, utf8 } from '../harness.js';

test('append, set, get, getAll, has, delete', () => {
  const form = new FormData();
  form.append('a', '1');
  form.append('a', '2');
  form.append('b', 3 as never);
  equal(
    [form.get('a'), form.getAll('a'), form.get('b'), form.get('x'), form.has('a')],
    ['1', ['1', '2'], '3', null, true],
  );
  form.set('a', 'only');
  equal([...form.keys()], ['a', 'b']);
  form.delete('b');
  equal([...form.entries()], [['a', 'only']]);
  throws(TypeError, () => (form.append as (name: string) => void)('x'));
  throws(TypeError, () => form.append('x', 'text' as never, 'name.txt'));
});

test('blobs become files', () => {
  const form = new FormData();
  form.append('b', new Blob(['x'], { type: 'a/b' }));
  form.append('n', new Blob(['x']), 'name.txt');
  form.append('f', new File(['y'], 'own.txt'));
  form.append('g', new File(['y'], 'own.txt'), 'other.txt');
  const names = [...form.values()].map((file) => (file as File).name);
  equal(names, ['blob', 'name.txt', 'own.txt', 'other.txt']);
  ok(form.get('b') instanceof File);
  equal((form.get('b') as File).type, 'a/b');
});

test('strings become well-formed', () => {
  const form = new FormData();
  form.append('a\ud800', 'b\udfff');
  equal([...form], [['a\ufffd', 'b\ufffd']]);
});

test('iterates in order and live', () => {
  const form = new FormData();
  for (const name of ['a', 'b', 'a']) form.append(name, name);
  const seen: string[] = [];
  form.forEach((value, name, all) => {
    ok(all === form);
    seen.push(`${name}=${String(value)}`);
  });
  equal(seen, ['a=a', 'b=b', 'a=a']);
  form.set('a', 'z');
  equal([...form], [['a', 'z'], ['b', 'b']]); // biome-ignore format: one line
});

async function roundTrip(form: FormData): Promise<FormData> {
  return new Request('http://a/', { method: 'POST', body: form }).formData();
}

test('multipart round trip of text', async () => {
  const form = new FormData();
  const pairs: [string, string][] = [
    ['plain', 'value'],
    ['plain', 'again'],
    ['', ''],
    ['ünïcode 🍣', 'välue 🍣'],
    ['quo"te', 'a"b'],
    ['multi', 'line1\r\nline2\r\n'],
    ['dashes', '--\r\n----x'],
  ];
  for (const [name, value] of pairs) form.append(name, value);
  equal([...(await roundTrip(form))], pairs);
});

test('multipart normalises line ends of text, not of files', async () => {
  const form = new FormData();
  form.append('t', 'a\nb\rc');
  form.append('f', new File(['a\nb\rc'], 'f'));
  const back = await roundTrip(form);
  equal(back.get('t'), 'a\r\nb\r\nc');
  equal(await (back.get('f') as File).text(), 'a\nb\rc');
});

test('multipart round trip of files', async () => {
  const all = Uint8Array.from({ length: 256 }, (_, at) => at);
  const form = new FormData();
  form.append('bin', new File([all, all], 'data "1".bin', { type: 'application/x-thing' }));
  form.append('none', new File([], 'empty'));
  form.append('uni', new File(['x'], 'ünï 🍣.txt', { type: 'text/plain' }));
  const back = await roundTrip(form);
  const bin = back.get('bin') as File;
  equal([bin.name, bin.type, bin.size], ['data "1".bin', 'application/x-thing', 512]);
  equal((await bin.bytes()).subarray(256), all);
  const none = back.get('none') as File;
  equal([none.name, none.size, none.type], ['empty', 0, 'application/octet-stream']);
  equal((back.get('uni') as File).name, 'ünï 🍣.txt');
});

test('names cannot break out of their header', async () => {
  const form = new FormData();
  form.append('a"\r\nX-Evil: 1\r\n\r\nb', 'v');
  form.append('f', new Blob(['x']), 'x"\r\nX-Evil: 1');
  const body = await new Response(form).text();
  ok(!/^x-evil/im.test(body), 'no header of its own');
  ok(body.includes('name="a%22%0D%0AX-Evil: 1%0D%0A%0D%0Ab"'), body);
  ok(body.includes('filename="x%22%0D%0AX-Evil: 1"'), body);
});

const parse = (body: string | Uint8Array<ArrayBuffer>, type = 'multipart/form-data; boundary=XX') =>
  new Response(body, { headers: { 'content-type': type } }).formData();

test('reads multipart of others', async () => {
  const form = await parse(
    '--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' +
      '--XX\r\ncontent-disposition: form-data; name="f"; filename="x.txt"\r\ncontent-type: text/css\r\n\r\nbody\r\n--XX--\r\n',
  );
  equal(form.get('a'), '1');
  const file = form.get('f') as File;
  equal([file.name, file.type, await file.text()], ['x.txt', 'text/css', 'body']);
});

test('reads a quoted boundary', async () => {
  const body = '--a b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--a b--\r\n';
  equal((await parse(body, 'multipart/form-data; boundary="a b"')).get('x'), '1');
});

test('an empty multipart body with its end is an empty form', async () => {
  equal([...(await parse('--XX--\r\n'))], []);
});

for (const [what, body] of Object.entries({
  'no boundary in it': 'nothing',
  'a part without an end': '--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n1',
  'a part without a name': '--XX\r\nContent-Disposition: form-data\r\n\r\n1\r\n--XX--\r\n',
  'a part without a disposition': '--XX\r\nContent-Type: text/plain\r\n\r\n1\r\n--XX--\r\n',
  'no end': '--XX\r\n',
})) {
  test(`refuses multipart with ${what}`, async () => {
    await rejects(TypeError, parse(body));
  });
}

test('binary parts keep every byte, also bytes that look like a boundary', async () => {
  const tricky = bytes(13, 10, 45, 45, 88, 0, 255, 13, 10);
  const form = new FormData();
  form.append('f', new Blob([tricky]));
  equal(await ((await roundTrip(form)).get('f') as File).bytes(), tricky);
});

test('each form has a boundary of its own', () => {
  const boundaries = Array.from({ length: 20 }, () => new Response(new FormData()).headers.get('content-type'));
  equal(new Set(boundaries).size, 20);
});

test('a large form', async () => {
  const form = new FormData();
  for (let at = 0; at < 500; at++) form.append(`k${at}`, 'v'.repeat(200));
  form.append('big', new Blob([utf8('x'.repeat(500_000))]));
  const back = await roundTrip(form);
  equal([...back.keys()].length, 501);
  equal(text(await (back.get('big') as File).arrayBuffer()).length, 500_000);
});

test('forEach has a this', () => {
  const form = new FormData();
  form.append('a', '1');
  const receiver = {};
  let seen: unknown;
  form.forEach(function each(this: unknown) {
    seen = this;
  }, receiver);
  ok(seen === receiver);
  throws(TypeError, () => form.forEach(undefined as never));
});
