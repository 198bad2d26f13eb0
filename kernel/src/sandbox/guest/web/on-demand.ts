// The order matters: later ones use the globals of earlier ones while they load.
import './streams.js';
import './url.js';
import './blob.js';
import './message-channel.js';
import './compression.js';
import './fetch.js';
import { refuseClones } from './clone.js';

refuseClones(
  URL, URLSearchParams, Headers, Request, Response, FormData, ReadableStream, WritableStream, TransformStream,
); // biome-ignore format: a list
