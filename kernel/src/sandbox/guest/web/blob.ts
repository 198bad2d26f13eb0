import { Blob as BlobBase } from 'fetch-blob';
import { File as FileBase } from 'fetch-blob/file.js';
import { addCloneRule } from './clone.js';
import { defineClass } from './define.js';

// What fetch-blob lacks: Blob.bytes(), and types in lower case.
const { get: rawType } = Object.getOwnPropertyDescriptor(BlobBase.prototype, 'type')!;
Object.defineProperties(BlobBase.prototype, {
  type: {
    get(this: Blob) {
      return (Reflect.apply(rawType as () => string, this, []) as string).toLowerCase();
    },
    enumerable: true,
    configurable: true,
  },
  bytes: {
    value: async function bytes(this: Blob) {
      return new Uint8Array(await this.arrayBuffer());
    },
    writable: true,
    configurable: true,
  },
});

defineClass('Blob', BlobBase as never);
defineClass('File', FileBase as never);

addCloneRule({
  is: (value) => value instanceof Blob,
  clone(value) {
    const blob = value as Blob;
    const { type } = blob;
    if (!(blob instanceof File)) return blob.slice(0, blob.size, type);
    return new File([blob], blob.name, { type, lastModified: blob.lastModified });
  },
});
