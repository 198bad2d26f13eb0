import { TextDecoder as AnyDecoder, TextEncoder } from '@exodus/bytes/encoding-lite.js';
import { defineClass } from './define.js';

/** Encodings whose tables (170 KB) are left out. Without this they would fail at the first text instead of here. */
const LEFT_OUT = new Set(['big5', 'euc-kr', 'euc-jp', 'iso-2022-jp', 'shift_jis', 'gbk', 'gb18030']);

class TextDecoder extends AnyDecoder {
  constructor(label?: string, options?: TextDecoderOptions) {
    super(label, options ?? {});
    if (LEFT_OUT.has(this.encoding)) throw new RangeError(`The encoding "${this.encoding}" is not supported.`);
  }
}

defineClass('TextEncoder', TextEncoder);
defineClass('TextDecoder', TextDecoder);
