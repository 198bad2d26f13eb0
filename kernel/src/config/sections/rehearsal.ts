import { Type } from 'typebox';

/** Field and header names; a field is masked when its name, in lower case and without `_` and `-`, ends with one of them. */
const MASKED = [
  'password', 'passwd', 'passphrase', 'secret', 'token', 'apikey', 'privatekey', 'authorization', 'cookie', 'credential',
  'email', 'mail', 'phone', 'phonenumber', 'mobile', 'firstname', 'lastname', 'fullname', 'username', 'surname', 'birthdate',
  'birthday', 'street', 'postcode', 'ssn', 'iban', 'cardnumber', 'cvc',
]; // biome-ignore format: a list

export const RehearsalSection = Type.Object(
  {
    record: Type.Array(Type.String(), {
      default: [],
      description: 'Plugins whose calls are recorded, in memory and masked, to try new versions with; `*` for all.',
    }),
    sample: Type.Number({ minimum: 0, maximum: 1, default: 1, description: 'Share of the calls that is recorded.' }),
    keep: Type.Integer({ minimum: 1, maximum: 10_000, default: 200, description: 'Calls kept per plugin.' }),
    maxBytes: Type.Integer({
      minimum: 1_024,
      default: 8_388_608,
      description: 'Bytes kept per plugin; the oldest calls make room.',
    }),
    maxCallBytes: Type.Integer({
      minimum: 1_024,
      default: 262_144,
      description: 'A call with more than this, streams included, is left out.',
    }),
    mask: Type.Array(Type.String(), {
      default: MASKED,
      description: 'Endings of field names whose values are masked.',
    }),
    maxDifferences: Type.Integer({
      minimum: 0,
      default: 0,
      description: 'Calls that a new version may do otherwise and still be swapped in where a rehearsal is asked for.',
    }),
    timeoutMs: Type.Integer({
      minimum: 1_000,
      default: 60_000,
      description: 'For replaying all calls against one version, in ms.',
    }),
  },
  { additionalProperties: false, default: {} },
);
