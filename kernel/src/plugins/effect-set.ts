import { AtollError } from '@atoll/plugin-sdk/contract';
import type { PluginManifest } from '@atoll/registry';
import type { OwnedEffect } from '../syscalls/table.js';

/**
 * What one running version registered. It is staged until the version becomes the active one, and withdrawn as a whole. Effects whose
 * permission was taken away rest until it is given back.
 */
export class EffectSet implements Iterable<OwnedEffect> {
  #state: 'staging' | 'active' | 'released' = 'staging';
  readonly #effects = new Set<OwnedEffect>();
  readonly #resting = new Set<OwnedEffect>();

  constructor(
    private readonly plugin: string,
    private readonly granted: () => PluginManifest,
  ) {}

  [Symbol.iterator](): IterableIterator<OwnedEffect> {
    return this.#effects.values();
  }

  get size(): number {
    return this.#effects.size;
  }

  get state(): 'staging' | 'active' | 'released' {
    return this.#state;
  }

  add(effect: OwnedEffect): void {
    if (this.#state === 'released')
      throw new AtollError('PLUGIN_NOT_ACTIVE', `${this.plugin} has stopped; it can't register anything.`);
    this.#effects.add(effect);
    if (this.#state === 'active') this.#begin(effect);
  }

  activate(): void {
    this.#state = 'active';
    for (const effect of this.#effects) this.#begin(effect);
  }

  /** Undoes all, latest first. */
  withdraw(): void {
    if (this.#state === 'released') return;
    this.#state = 'released';
    for (const effect of [...this.#effects].reverse()) if (!this.#resting.has(effect)) effect.undo();
    this.#effects.clear();
    this.#resting.clear();
  }

  /** Whether an effect waits for a permission that was taken away. */
  rests(effect: OwnedEffect): boolean {
    return this.#resting.has(effect);
  }

  /** Permissions have changed: what may no longer be ends, and what may be again begins. */
  reconsider(): void {
    if (this.#state !== 'active') return;
    for (const effect of this.#effects) {
      const may = this.#may(effect);
      if (may && this.#resting.delete(effect)) effect.activate?.();
      else if (!may && !this.#resting.has(effect)) {
        this.#resting.add(effect);
        effect.undo();
      }
    }
  }

  #begin(effect: OwnedEffect): void {
    if (this.#may(effect)) effect.activate?.();
    else this.#resting.add(effect);
  }

  #may({ needs }: OwnedEffect): boolean {
    return needs === undefined || needs(this.granted());
  }
}
