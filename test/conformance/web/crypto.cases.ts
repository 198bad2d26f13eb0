import { bytes, equal, fromHex, hex, ok, rejects, test, text, throws, utf8 } from '../harness.js';

const { subtle } = crypto;
const abc = utf8('abc');
const b64 = (data: Uint8Array) =>
  btoa(String.fromCharCode(...data))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');

/** A key, and what another implementation (OpenSSL) made with it. */
const RSA: JsonWebKey = {
  kty: 'RSA',
  n:
    'qKsXy_R_xDxuocDSB_WpopIPyO0b50op5b7IxFMLBoeof8vjeG1C45_6_oDUjpCZ38ZqoOR87B5tGDE2Xi1zRx8bTU8RQYo4TFwA0oph6EsYeK' +
    'FcAwwq_qOOcxzQuOX645LhEb0Z2h3vhyStPJR73aF47G7dZoEkUivD8bex81LIyG0cvlWYfeR5tu4FOG-DIAPAmskfWjZvp6vZMHdD7yqMQF6Z' +
    'p7drBJh450pJtm39OFdRlFskUy9vezU-5UN_Zqi4ffFuUUsBjF4oBtG95PVONDkefeVsRfg1TCq6CltoeftbOoMz-j-B8C0rDCDyTkj15QUS4Z' +
    'i2ACoRLIQVPQ',
  e: 'AQAB',
  d:
    'CFaQ8hhlBTv253st8Y5084r59HUNoepPgO06D-6KXH5yAi3_pvFBKG89DBOCroY6fSQExcMV4-GrLfzSKGdhzAcfJTwT6SQJSB5s51DyVHal6o' +
    'y7jOZZ7RsDzJqvkicYYeNdygU0VSKRYqJvB_rP1siH6amfZf-ws86NvLzX3g9JwNIDaBq-JwNYNBa4KN5tJJr74HyOgnb_HpyDN1xW-A28lCbY' +
    'z1rJvlLaoJODNZMiTVGGwAaXJXwezGLt_Ipb_QcCjlJWxcciKzQ96pohcIKYH0Dj5iisK8tZmBi-kq7dERIyZ1UMbuTVOrRu7oewQUmQAGad6X' +
    'lPAcoS1NleBw',
  p:
    '62vX7FxJXvszaarzVxnUefyZnfLCfjuaDPPwKLOL938Unui-iBzkmD8ipkHJfQLDFHw37J2V1LgwY1M2dzIVLXLaEsVWf5uNdl637FfJID6FtV' +
    'PtW0No_stnl2H3FthxBGE4O0bfdS79-lAKD4stotN8S4zbxDz5SR2jbFJyubs',
  q:
    't2l7G9sTbzHzRkU-8aHRmHi6p40WKAnUPlU0t3bvkNXAF3eDpugpFpx7h3EJ0V68w24Ai9X91WaPnKnd9XPqBXXUL2GJlLbT5XenwFM53bio4w' +
    'TM8UBrdzoL3WwDGEbVZ9QudRpPC4lf8P2uAesgNXIYgvHF5_r7wezUy3h64Wc',
  dp:
    'gt_MBKD1RPEfDsIzTxuT7FDJ0W3QQ768kDDYNLhDuk4SV5kJur9dMWn_yC9QZMexTWUU7dxZHA1dEQqEf9T-wupTYxYDVSNTjBdx5diTffJkAH' +
    '7st8yMxQCs0RJr-25NveKSERoARbPfC1WNkkCMGTW6poFi9v_ykXwBisl279s',
  dq:
    'flwWa7-H6SCxqOUGE3TXsMLkXZDPBfCXoAYV1pwDOnZ46_Hz6qahwCk41bwj9nHdfIqpp61bPo11PYquF2-vd-mQsL_zCFjZLYs9MDxmboHNIP' +
    'Jqu38VSsPb7sV-cFhEqE6_XwAsGxee2Kn9GudBfnDHwFcPcN4yWo1uoWu0xNs',
  qi:
    'vLo1RnZ93DaNp4DMBXj0g2ji0W1VSZ7T1-wgWVE1CTvvJ0ZFXAtGXwdSsO4OHqwQgPdiF-NY2A8dp0O9mrJkdh_bxjd8axHwooEqCnAq8NvMSy' +
    'dSeXpG4cXslC4I_785WfbNCx7I0NmL9-4U634nbsELweEIEdeaW4MqbELvB5g',
};
const RSA_PKCS1_OF_ABC =
  '9921fb53d5badd5849c91db41c86e4f614f41480c32c2529b3c3dd549dca1bd292cef03fc6fa66da469611ffd049cf2c4c33b435e3386f' +
  '096bfc29fb544f7020171f47faae74cbb3fad7926883f49cc749fad29b3d87e64f818dfc7d3c932e61deaf5025b91f37a2d8538bd7cb28' +
  'e4423385d2399919faa3d67c1476a2367d7afed73701d80a984515a449a8b77b4128ff6e221908af1f7b62e5cec727c085f78e65fc12ba' +
  '262b6fe8598f69ad8da105a221ea997c265a8c6225b09c040c9c2563ec25c84a9e46d91f4815dc84f09cc52d8c4be8b9853e92dc3590ff' +
  'e65cf3419907c0b53d5cdf9c7bf12b8674e8778590c4998bcfa2d90031eb28b596d59d37';
const RSA_PSS_OF_ABC =
  '150aef142eb1e228cbaf6a30a7d02273746cf665650711b6c577857688c8fb8dccfc2600a6087b98724f994d3c6cf41b31f69a79d197c9' +
  '1ad9e907d5101e2c91005a6612c9121f124afa76a3f54a3cc5847610d12a2bce96db59412e4310c6db71ada96c7d5c3da3dd6de6cbe6eb' +
  '2269b26077648333011e47f5cd5cde0feba54cac57377db9e95bd49e108159bf2d9f508e9cbb81df19020276658e84edcc2ee9d09bbd31' +
  '1241830d7aa90d6999d636ce8852b29f68a9203c0d207db5f701997ac649f6f71df6622fd5b9456c9654836dd05b1ed1fa060ec6bcbb12' +
  'ca1695281c71d6e0efd5db941c31acd11f2e4d6b4ec8efd7d757d8000e08ba792cac7dc8';
const RSA_OAEP_OF_SECRET =
  '754e268122595a9458908ec3856bc8a64c8095f603761e05e74fe99b9763ba9319da669e7b94b8f2a3103c03c511f7a202bf2bbc616e44' +
  '1609bf5a6c0ef9836030257287ffa4a0f937cb808629fb90c7631defdf1120384e1f764b765f4c01df10cb1b333b83c7334c7bd5f0d427' +
  '5328699e72cc68be4a4a38c092d8d9c1866ec3593a2e63fc733c801110cab39522abaf8500d22dd11c8766f7c65d11d0c7233c44aed474' +
  'e505d5495d96d02b07021c7e76c3c1868eca537fe22ad32458a9ca3177d7d32ccda9b615bf63245b0e1b545e431a1f48d198ff38952990' +
  'bbeff81d0ef34df26b8e81d044b2867c5a71802b0b180048e97b2db85a58dca2e98a9080';
const RSA_PUBLIC: JsonWebKey = { kty: RSA.kty!, n: RSA.n!, e: RSA.e! };

test('getRandomValues fills integer arrays of every kind, and gives them back', () => {
  for (const Type of [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array]) {
    const array = new Type(64);
    ok(crypto.getRandomValues(array) === array);
    ok(
      array.some((value) => value !== 0),
      Type.name,
    );
  }
  ok(crypto.getRandomValues(new BigUint64Array(4)).some((value) => value !== 0n));
  equal(crypto.getRandomValues(new Uint8Array(0)).length, 0);
  const part = new Uint8Array(100);
  crypto.getRandomValues(part.subarray(10, 90));
  ok(
    [...part.subarray(0, 10), ...part.subarray(90)].every((value) => value === 0),
    'nothing beyond the view',
  );
});

test('getRandomValues refuses too much and other things', () => {
  equal(crypto.getRandomValues(new Uint8Array(65_536)).length, 65_536);
  throws('QuotaExceededError', () => crypto.getRandomValues(new Uint8Array(65_537)));
  throws('QuotaExceededError', () => crypto.getRandomValues(new Uint32Array(16_385)));
  throws('TypeMismatchError', () => crypto.getRandomValues(new Float32Array(1) as never));
  throws('TypeMismatchError', () => crypto.getRandomValues(new DataView(new ArrayBuffer(1)) as never));
  for (const wrong of [undefined, null, 5, [1], new ArrayBuffer(8)])
    throws(TypeError, () => crypto.getRandomValues(wrong as never));
});

test('randomUUID', () => {
  const ids = Array.from({ length: 50 }, () => crypto.randomUUID());
  for (const id of ids) ok(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id), id);
  equal(new Set(ids).size, 50);
});

test('classes cannot be made, methods need their object', async () => {
  for (const Type of [Crypto, SubtleCrypto, CryptoKey])
    throws(TypeError, () => new (Type as unknown as new () => unknown)());
  await rejects(TypeError, (subtle.digest as (...args: unknown[]) => Promise<unknown>).call({}, 'SHA-1', abc));
  ok(crypto.subtle === subtle);
  equal([subtle.digest.name, subtle.digest.length, subtle.unwrapKey.length], ['digest', 2, 7]);
});

const DIGESTS: Record<string, string> = {
  'SHA-1': 'a9993e364706816aba3e25717850c26c9cd0d89d',
  'SHA-256': 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  'SHA-384': 'cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7',
  'SHA-512':
    'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
};
for (const [name, digest] of Object.entries(DIGESTS)) {
  test(`digest ${name}`, async () => {
    const result = await subtle.digest(name, abc);
    ok(result instanceof ArrayBuffer);
    equal(hex(result), digest);
    equal(hex(await subtle.digest({ name: name.toLowerCase() }, utf8('xabcx').subarray(1, 4))), digest);
    equal(hex(await subtle.digest(name, abc.slice().buffer)), digest);
  });
}

test('digest of nothing, of a lot, and of data that changes afterwards', async () => {
  equal(
    hex(await subtle.digest('SHA-256', bytes())),
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  );
  equal(
    hex(await subtle.digest('SHA-256', new Uint8Array(1_000_000).fill(97))),
    'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0',
  );
  const data = abc.slice();
  const digest = subtle.digest('SHA-256', data);
  data.fill(0);
  equal(hex(await digest), DIGESTS['SHA-256']);
});

test('arguments are checked', async () => {
  await rejects('NotSupportedError', subtle.digest('MD5', abc));
  await rejects(TypeError, subtle.digest('SHA-1', 'text' as never));
  await rejects(TypeError, (subtle.digest as (name: string) => Promise<unknown>)('SHA-1'));
  await rejects(TypeError, subtle.encrypt({ name: 'AES-GCM', iv: bytes(1) }, {} as never, abc));
});

const hmacKey = (hash: string, ...usages: KeyUsage[]) =>
  subtle.importKey('raw', utf8('Jefe'), { name: 'HMAC', hash }, true, usages);

test('HMAC: RFC 4231, case 2', async () => {
  const data = utf8('what do ya want for nothing?');
  const sign = async (hash: string) => hex(await subtle.sign('HMAC', await hmacKey(hash, 'sign'), data));
  equal(await sign('SHA-256'), '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843');
  equal(
    await sign('SHA-512'),
    '164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737',
  );
  const key = await hmacKey('SHA-256', 'verify');
  const signature = fromHex('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843');
  equal(await subtle.verify('HMAC', key, signature, data), true);
  signature[0]! ^= 1;
  equal(await subtle.verify('HMAC', key, signature, data), false);
  equal(await subtle.verify('HMAC', key, bytes(), data), false);
});

test('a key tells what it is, and keeps to its usages', async () => {
  const key = await hmacKey('SHA-256', 'sign');
  equal([key.type, key.extractable, key.usages], ['secret', true, ['sign']]);
  equal(key.algorithm, { name: 'HMAC', length: 32, hash: { name: 'SHA-256' } });
  equal(Object.prototype.toString.call(key), '[object CryptoKey]');
  await rejects('InvalidAccessError', subtle.verify('HMAC', key, abc, abc));
  const hidden = await subtle.importKey('raw', abc, { name: 'HMAC', hash: 'SHA-1' }, false, ['sign']);
  await rejects('InvalidAccessError', subtle.exportKey('raw', hidden));
  await rejects('SyntaxError', subtle.importKey('raw', abc, { name: 'HMAC', hash: 'SHA-1' }, true, []));
});

test('HMAC keys as JWK, generated, and exported', async () => {
  const key = await subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign', 'verify']);
  const jwk = await subtle.exportKey('jwk', key);
  equal([jwk.kty, jwk.alg, jwk.ext, jwk.key_ops], ['oct', 'HS256', true, ['sign', 'verify']]);
  const again = await subtle.importKey('jwk', jwk, { name: 'HMAC', hash: 'SHA-256' }, true, ['verify']);
  equal(await subtle.verify('HMAC', again, await subtle.sign('HMAC', key, abc), abc), true);
  equal((await subtle.exportKey('raw', key)).byteLength, 64);
});

const aes = (name: string, key: string, ...usages: KeyUsage[]) =>
  subtle.importKey('raw', fromHex(key), name, true, usages);
const SP800_38A_KEY = '2b7e151628aed2a6abf7158809cf4f3c';
const SP800_38A_TEXT = '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51';

test('AES-CBC: SP 800-38A, F.2.1', async () => {
  const key = await aes('AES-CBC', SP800_38A_KEY, 'encrypt', 'decrypt');
  const algorithm = { name: 'AES-CBC', iv: fromHex('000102030405060708090a0b0c0d0e0f') };
  const sealed = await subtle.encrypt(algorithm, key, fromHex(SP800_38A_TEXT));
  equal(hex(sealed).slice(0, 64), '7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2');
  equal(sealed.byteLength, 48, 'padded');
  equal(hex(await subtle.decrypt(algorithm, key, sealed)), SP800_38A_TEXT);
  await rejects('OperationError', subtle.decrypt(algorithm, key, bytes(1, 2, 3)));
  await rejects('OperationError', subtle.encrypt({ name: 'AES-CBC', iv: bytes(1) }, key, abc));
});

test('AES-CTR: SP 800-38A, F.5.1', async () => {
  const key = await aes('AES-CTR', SP800_38A_KEY, 'encrypt', 'decrypt');
  const algorithm = { name: 'AES-CTR', counter: fromHex('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff'), length: 128 };
  const sealed = await subtle.encrypt(algorithm, key, fromHex(SP800_38A_TEXT));
  equal(hex(sealed), '874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff');
  equal(hex(await subtle.decrypt(algorithm, key, sealed)), SP800_38A_TEXT);
});

test('AES-GCM: the specification’s test cases 4 and 16', async () => {
  const plain = fromHex(
    'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
  );
  const algorithm = {
    name: 'AES-GCM',
    iv: fromHex('cafebabefacedbaddecaf888'),
    additionalData: fromHex('feedfacedeadbeeffeedfacedeadbeefabaddad2'),
  };
  const tags: [string, string][] = [
    ['feffe9928665731c6d6a8f9467308308', '5bc94fbc3221a5db94fae95ae7121a47'],
    ['feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308', '76fc6ece0f4e1768cddf8853bb2d551b'],
  ];
  for (const [digits, tag] of tags) {
    const key = await aes('AES-GCM', digits, 'encrypt', 'decrypt');
    const sealed = await subtle.encrypt(algorithm, key, plain);
    equal(hex(sealed).slice(-32), tag);
    equal(hex(await subtle.decrypt(algorithm, key, sealed)), hex(plain));
    new Uint8Array(sealed)[0]! ^= 1;
    await rejects('OperationError', subtle.decrypt(algorithm, key, sealed));
  }
});

test('AES-KW: RFC 3394, 4.1', async () => {
  const wrapping = await aes('AES-KW', '000102030405060708090a0b0c0d0e0f', 'wrapKey', 'unwrapKey');
  const inner = await aes('AES-GCM', '00112233445566778899aabbccddeeff', 'encrypt');
  const wrapped = await subtle.wrapKey('raw', inner, wrapping, 'AES-KW');
  equal(hex(wrapped), '1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5');
  const back = await subtle.unwrapKey('raw', wrapped, wrapping, 'AES-KW', 'AES-GCM', true, ['decrypt']);
  equal([hex(await subtle.exportKey('raw', back)), back.usages], ['00112233445566778899aabbccddeeff', ['decrypt']]);
  await rejects(
    'OperationError',
    subtle.unwrapKey('raw', new Uint8Array(24), wrapping, 'AES-KW', 'AES-GCM', true, ['decrypt']),
  );
});

test('wrapping as JWK with AES-GCM', async () => {
  const wrapping = await subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['wrapKey', 'unwrapKey']);
  const pair = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const algorithm = { name: 'AES-GCM', iv: crypto.getRandomValues(new Uint8Array(12)) };
  const wrapped = await subtle.wrapKey('jwk', pair.privateKey, wrapping, algorithm);
  const key = await subtle.unwrapKey(
    'jwk',
    wrapped,
    wrapping,
    algorithm,
    { name: 'ECDSA', namedCurve: 'P-256' },
    false,
    ['sign'],
  );
  const ecdsa = { name: 'ECDSA', hash: 'SHA-256' };
  equal(await subtle.verify(ecdsa, pair.publicKey, await subtle.sign(ecdsa, key, abc), abc), true);
});

test('PBKDF2: RFC 6070, and SHA-256', async () => {
  const key = await subtle.importKey('raw', utf8('password'), 'PBKDF2', false, ['deriveBits', 'deriveKey']);
  const derive = async (hash: string, iterations: number, bits: number) =>
    hex(await subtle.deriveBits({ name: 'PBKDF2', hash, salt: utf8('salt'), iterations }, key, bits));
  equal(await derive('SHA-1', 1, 160), '0c60c80f961f0e71f3a9b524af6012062fe037a6');
  equal(await derive('SHA-1', 4096, 160), '4b007901b765489abead49d926f721d065a429c1');
  equal(await derive('SHA-256', 4096, 256), 'c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a');
  const algorithm = { name: 'PBKDF2', hash: 'SHA-256', salt: utf8('salt'), iterations: 4096 };
  const derived = await subtle.deriveKey(algorithm, key, { name: 'AES-GCM', length: 256 }, true, ['encrypt']);
  equal(
    hex(await subtle.exportKey('raw', derived)),
    'c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a',
  );
});

test('HKDF: RFC 5869, case 1', async () => {
  const key = await subtle.importKey('raw', new Uint8Array(22).fill(11), 'HKDF', false, ['deriveBits', 'deriveKey']);
  const algorithm = {
    name: 'HKDF',
    hash: 'SHA-256',
    salt: fromHex('000102030405060708090a0b0c'),
    info: fromHex('f0f1f2f3f4f5f6f7f8f9'),
  };
  equal(
    hex(await subtle.deriveBits(algorithm, key, 42 * 8)),
    '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
  );
  const hmac = await subtle.deriveKey(algorithm, key, { name: 'HMAC', hash: 'SHA-256' }, true, ['sign']);
  equal((await subtle.exportKey('raw', hmac)).byteLength, 64);
});

test('RSASSA-PKCS1-v1_5: signs as others do', async () => {
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const key = await subtle.importKey('jwk', RSA, algorithm, false, ['sign']);
  equal(hex(await subtle.sign(algorithm.name, key, abc)), RSA_PKCS1_OF_ABC);
  const open = await subtle.importKey('jwk', RSA_PUBLIC, algorithm, true, ['verify']);
  equal(await subtle.verify(algorithm.name, open, fromHex(RSA_PKCS1_OF_ABC), abc), true);
  equal(await subtle.verify(algorithm.name, open, fromHex(RSA_PKCS1_OF_ABC), utf8('abd')), false);
  const told = open.algorithm as RsaHashedKeyAlgorithm;
  equal([told.modulusLength, hex(told.publicExponent), told.hash], [2048, '010001', { name: 'SHA-256' }]);
});

test('RSA-PSS: verifies what others signed', async () => {
  const algorithm = { name: 'RSA-PSS', hash: 'SHA-256' };
  const open = await subtle.importKey('jwk', RSA_PUBLIC, algorithm, true, ['verify']);
  equal(await subtle.verify({ name: 'RSA-PSS', saltLength: 20 }, open, fromHex(RSA_PSS_OF_ABC), abc), true);
  const key = await subtle.importKey('jwk', RSA, algorithm, false, ['sign']);
  const signature = await subtle.sign({ name: 'RSA-PSS', saltLength: 32 }, key, abc);
  equal(await subtle.verify({ name: 'RSA-PSS', saltLength: 32 }, open, signature, abc), true);
});

test('RSA-OAEP: opens what others sealed', async () => {
  const algorithm = { name: 'RSA-OAEP', hash: 'SHA-256' };
  const label = utf8('L');
  const key = await subtle.importKey('jwk', RSA, algorithm, false, ['decrypt']);
  equal(text(await subtle.decrypt({ name: 'RSA-OAEP', label }, key, fromHex(RSA_OAEP_OF_SECRET))), 'secret');
  await rejects('OperationError', subtle.decrypt({ name: 'RSA-OAEP' }, key, fromHex(RSA_OAEP_OF_SECRET)));
  const open = await subtle.importKey('jwk', RSA_PUBLIC, algorithm, true, ['encrypt']);
  equal(text(await subtle.decrypt('RSA-OAEP', key, await subtle.encrypt('RSA-OAEP', open, utf8('x')))), 'x');
});

test('RSA keys are generated, and travel as SPKI and PKCS #8', async () => {
  const algorithm = { name: 'RSA-PSS', modulusLength: 2048, publicExponent: bytes(1, 0, 1), hash: 'SHA-256' };
  const { privateKey, publicKey } = await subtle.generateKey(algorithm, true, ['sign', 'verify']);
  equal([privateKey.type, publicKey.type, publicKey.usages], ['private', 'public', ['verify']]);
  const spki = await subtle.exportKey('spki', publicKey);
  const pkcs8 = await subtle.exportKey('pkcs8', privateKey);
  const key = await subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']);
  const open = await subtle.importKey('spki', spki, algorithm, false, ['verify']);
  const pss = { name: 'RSA-PSS', saltLength: 0 };
  equal(await subtle.verify(pss, open, await subtle.sign(pss, key, abc), abc), true);
});

test('ECDSA: RFC 6979, P-256 with SHA-256', async () => {
  const x = fromHex('60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6');
  const y = fromHex('7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299');
  const signature = fromHex(
    'EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8',
  );
  const jwk = { kty: 'EC', crv: 'P-256', x: b64(x), y: b64(y) };
  const key = await subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify']);
  const algorithm = { name: 'ECDSA', hash: 'SHA-256' };
  equal(await subtle.verify(algorithm, key, signature, utf8('sample')), true);
  equal(await subtle.verify(algorithm, key, signature, utf8('simple')), false);
  equal(hex(await subtle.exportKey('raw', key)), `04${hex(x)}${hex(y)}`);
});

for (const namedCurve of ['P-256', 'P-384', 'P-521']) {
  test(`ECDSA and ECDH on ${namedCurve}`, async () => {
    const signer = await subtle.generateKey({ name: 'ECDSA', namedCurve }, true, ['sign', 'verify']);
    const algorithm = { name: 'ECDSA', hash: 'SHA-512' };
    const jwk = await subtle.exportKey('jwk', signer.publicKey);
    equal([jwk.kty, jwk.crv], ['EC', namedCurve]);
    const open = await subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve }, true, ['verify']);
    equal(await subtle.verify(algorithm, open, await subtle.sign(algorithm, signer.privateKey, abc), abc), true);
    const make = () => subtle.generateKey({ name: 'ECDH', namedCurve }, true, ['deriveBits', 'deriveKey']);
    const [a, b] = [await make(), await make()];
    const left = await subtle.deriveBits({ name: 'ECDH', public: b.publicKey }, a.privateKey, 256);
    equal(hex(await subtle.deriveBits({ name: 'ECDH', public: a.publicKey }, b.privateKey, 256)), hex(left));
    const key = await subtle.deriveKey(
      { name: 'ECDH', public: b.publicKey },
      a.privateKey,
      { name: 'AES-GCM', length: 256 },
      true,
      ['encrypt'],
    );
    equal(hex(await subtle.exportKey('raw', key)), hex(left));
  });
}

test('Ed25519: RFC 8032, test 2', async () => {
  const open = fromHex('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c');
  const secret = fromHex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb');
  const jwk = { kty: 'OKP', crv: 'Ed25519', d: b64(secret), x: b64(open) };
  const key = await subtle.importKey('jwk', jwk, 'Ed25519', false, ['sign']);
  const signature = await subtle.sign('Ed25519', key, bytes(0x72));
  equal(
    hex(signature),
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  );
  const publicKey = await subtle.importKey('raw', open, { name: 'Ed25519' }, true, ['verify']);
  equal(await subtle.verify('Ed25519', publicKey, signature, bytes(0x72)), true);
  equal(await subtle.verify('Ed25519', publicKey, signature, bytes(0x73)), false);
});

test('X25519: RFC 7748, 6.1', async () => {
  const jwk = {
    kty: 'OKP',
    crv: 'X25519',
    d: b64(fromHex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a')),
    x: b64(fromHex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a')),
  };
  const alice = await subtle.importKey('jwk', jwk, 'X25519', false, ['deriveBits']);
  const bob = await subtle.importKey(
    'raw',
    fromHex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'),
    'X25519',
    true,
    [],
  );
  equal(
    hex(await subtle.deriveBits({ name: 'X25519', public: bob }, alice, 256)),
    '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742',
  );
  const pair = (await subtle.generateKey('X25519', true, ['deriveBits'])) as CryptoKeyPair;
  equal([pair.privateKey.type, pair.publicKey.usages], ['private', []]);
});

test('malformed keys are a DataError', async () => {
  await rejects('DataError', subtle.importKey('raw', bytes(1), 'AES-GCM', true, ['encrypt']));
  await rejects(
    'DataError',
    subtle.importKey('spki', bytes(1, 2), { name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify']),
  );
  await rejects('DataError', subtle.importKey('jwk', { kty: 'oct' }, 'AES-GCM', true, ['encrypt']));
  await rejects('NotSupportedError', subtle.importKey('raw', abc, 'Nonsense', true, ['sign']));
});

test('many operations at once all end', async () => {
  const key = await hmacKey('SHA-256', 'sign');
  const all = await Promise.all(Array.from({ length: 200 }, (_, at) => subtle.sign('HMAC', key, utf8(`${at}`))));
  equal(new Set(all.map((signature) => hex(signature))).size, 200);
});
