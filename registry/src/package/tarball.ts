import { promisify } from 'node:util';
import { constants, gunzip, gzipSync } from 'node:zlib';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { Header, Parser, type ReadEntry } from 'tar';
import { entryPath, PathCollisions, ROOT } from './entry-path.js';
import { PACKAGE_LIMITS, type PackageLimits } from './limits.js';

/** Path inside the package → content. */
export type PackageFiles = ReadonlyMap<string, Buffer>;

const BLOCK = 512;
/** The time npm gives to all files of a tarball: zip tools refuse dates before 1980. */
const MTIME = new Date('1985-10-26T08:15:00.000Z');
const OS_UNKNOWN = 255;
const OS_BYTE = 9;

/** An npm tarball of these files. The same files give the same bytes, wherever and whenever. */
export function writeTarball(files: PackageFiles, limits: PackageLimits = PACKAGE_LIMITS): Buffer {
  const paths = [...files.keys()].sort();
  const parts = paths.flatMap((path) => [headerOf(path, files.get(path)!.length, limits), padded(files.get(path)!)]);
  const archive = Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
  const tarball = gzipSync(archive, { level: constants.Z_BEST_COMPRESSION });
  // The compressing system is of no interest, and would make a difference.
  tarball[OS_BYTE] = OS_UNKNOWN;
  assertSize('package', tarball.length, limits.tarballBytes);
  assertSize('unpacked package', archive.length, limits.unpackedBytes);
  return tarball;
}

function headerOf(path: string, size: number, limits: PackageLimits): Buffer {
  const header = new Header({
    path: ROOT + entryPath(ROOT + path, limits),
    type: 'File',
    mode: 0o644,
    size,
    mtime: MTIME,
  });
  const block = Buffer.alloc(BLOCK);
  if (header.encode(block, 0)) throw new AtollError('PACKAGE_INVALID', `The path ${path} is too long for a tarball.`);
  return block;
}

function padded(content: Buffer): Buffer {
  const rest = content.length % BLOCK;
  return rest === 0 ? content : Buffer.concat([content, Buffer.alloc(BLOCK - rest)]);
}

/**
 * The files of a tarball, in memory: nothing is written, linked or run. Only plain files at safe paths are accepted.
 * Throws PACKAGE_TOO_LARGE, PACKAGE_DAMAGED (no tarball, or cut off) or PACKAGE_INVALID (what must not be in one).
 */
export async function readTarball(tarball: Uint8Array, limits: PackageLimits = PACKAGE_LIMITS): Promise<PackageFiles> {
  assertSize('package', tarball.length, limits.tarballBytes);
  const archive = await decompress(tarball, limits);
  const files = new Map<string, Buffer>();
  const collisions = new PathCollisions();
  await parse(archive, (entry) => {
    if (entry.type !== 'File' && entry.type !== 'OldFile') throw notPlain(entry);
    const path = entryPath(entry.path, limits);
    collisions.add(path);
    if (files.size >= limits.files) {
      throw new AtollError('PACKAGE_TOO_LARGE', `The package has more than ${limits.files} files.`);
    }
    files.set(path, Buffer.alloc(0));
    return (content) => files.set(path, content);
  });
  return files;
}

const notPlain = ({ path, type }: ReadEntry): AtollError =>
  new AtollError(
    'PACKAGE_INVALID',
    `The package has the entry ${JSON.stringify(path)} of type ${type}; only files are allowed.`,
  );

function assertSize(what: string, bytes: number, most: number): void {
  if (bytes > most)
    throw new AtollError('PACKAGE_TOO_LARGE', `The ${what} has ${bytes} bytes; at most ${most} are allowed.`);
}

const inflate = promisify(gunzip);

async function decompress(tarball: Uint8Array, { unpackedBytes }: PackageLimits): Promise<Buffer> {
  try {
    return await inflate(tarball, { maxOutputLength: unpackedBytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      throw new AtollError('PACKAGE_TOO_LARGE', `The package unpacks to more than ${unpackedBytes} bytes.`);
    }
    throw new AtollError('PACKAGE_DAMAGED', `The package is no gzip file, or cut off: ${(error as Error).message}.`);
  }
}

/** Takes an entry and returns what takes its content; throws to refuse it. */
type OnEntry = (entry: ReadEntry) => (content: Buffer) => void;

/** Compressed data inside would be unpacked by the parser again, without a limit. */
const COMPRESSED = [Buffer.from([0x1f, 0x8b]), Buffer.from([0x28, 0xb5, 0x2f, 0xfd])];

function parse(archive: Buffer, onEntry: OnEntry): Promise<void> {
  if (COMPRESSED.some((magic) => archive.subarray(0, magic.length).equals(magic))) {
    throw new AtollError('PACKAGE_INVALID', 'The package is compressed twice.');
  }
  return new Promise((resolve, reject) => {
    const parser = new Parser({ strict: true });
    const fail = (error: unknown) => reject(asDamage(error));
    parser.on('entry', (entry: ReadEntry) => {
      try {
        const done = onEntry(entry);
        const chunks: Buffer[] = [];
        entry.on('data', (chunk: Buffer) => chunks.push(chunk));
        entry.on('end', () => done(Buffer.concat(chunks)));
        entry.on('error', fail);
      } catch (error) {
        fail(error);
        entry.resume();
      }
    });
    // What the parser itself would leave out must not be there, either.
    parser.on('ignoredEntry', (entry: ReadEntry) => fail(notPlain(entry)));
    parser.on('error', fail);
    parser.on('end', () => resolve());
    parser.end(archive);
  });
}

function asDamage(error: unknown): AtollError {
  if (error instanceof AtollError) return error;
  return new AtollError('PACKAGE_DAMAGED', `The package is no tar archive, or cut off: ${(error as Error).message}.`);
}
