import { TextDecoder, TextEncoder } from '@exodus/bytes/encoding-lite.js';
import { defineClass } from './define.js';

defineClass('TextEncoder', TextEncoder);
defineClass('TextDecoder', TextDecoder);
