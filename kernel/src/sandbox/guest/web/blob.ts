import { Blob as BlobBase } from 'fetch-blob';
import { File as FileBase } from 'fetch-blob/file.js';
import { defineClass } from './define.js';

// fetch-blob predates Blob.bytes().
if (!('bytes' in BlobBase.prototype)) {
  Object.defineProperty(BlobBase.prototype, 'bytes', {
    value: async function bytes(this: Blob) {
      return new Uint8Array(await this.arrayBuffer());
    },
    writable: true,
    configurable: true,
  });
}
defineClass('Blob', BlobBase as never);
defineClass('File', FileBase as never);
