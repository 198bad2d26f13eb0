import { AtollError } from '@atoll/plugin-sdk/contract';
import { patternSize } from '../schema/index.js';

const MAX_REGISTRATIONS = 2_000;
/** Objects and lists in all that is registered, which are schemas mostly: as many take a tenth of a second to compile. */
const MAX_PARTS = 20_000;
/** Characters of all texts in what is registered: it is shown in /openapi.json. */
const MAX_TEXT = 1_048_576;
/** Instructions of all patterns in these schemas: as many take a fifth of a second to compile. */
const MAX_PATTERNS = 50_000;

/** What one version of a plugin may register: each costs the kernel memory, and its schemas are compiled when the version starts. */
export class RegistrationBudget {
  #registrations = 0;
  #parts = 0;
  #text = 0;
  #patterns = 0;

  constructor(private readonly plugin: string) {}

  /** Throws PLUGIN_FLOODING when it is used up. */
  spend(registration: unknown): void {
    if (++this.#registrations > MAX_REGISTRATIONS)
      throw new AtollError(
        'PLUGIN_FLOODING',
        `${this.plugin} registers more than ${MAX_REGISTRATIONS} routes, listeners, services, channels and jobs.`,
      );
    this.#count(registration);
  }

  #count(value: unknown): void {
    if (typeof value === 'string') return this.#countText(value);
    if (typeof value !== 'object' || value === null) return;
    if (++this.#parts > MAX_PARTS)
      throw new AtollError(
        'PLUGIN_FLOODING',
        `The schemas of ${this.plugin} have more than ${MAX_PARTS} parts together.`,
      );
    for (const [name, member] of Object.entries(value)) {
      if (name === 'pattern' && typeof member === 'string') this.#countPatterns([member]);
      if (name === 'patternProperties') this.#countPatterns(Object.keys(member ?? {}));
      this.#countText(name);
      this.#count(member);
    }
  }

  #countText(text: string): void {
    this.#text += text.length;
    if (this.#text > MAX_TEXT)
      throw new AtollError('PLUGIN_FLOODING', `What ${this.plugin} registers has more than ${MAX_TEXT} characters.`);
  }

  #countPatterns(patterns: readonly string[]): void {
    for (const pattern of patterns) this.#patterns += patternSize(pattern);
    if (this.#patterns > MAX_PATTERNS)
      throw new AtollError('PLUGIN_FLOODING', `The patterns in the schemas of ${this.plugin} are too large together.`);
  }
}
