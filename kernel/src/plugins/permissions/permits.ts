import type { ErrorCode } from '@atoll/plugin-sdk/contract';
import type { PluginManifest } from '@atoll/registry';
import type { Grant } from '../../net/index.js';
import { effective, type Narrowing } from './narrow.js';
import { askedBy, type PermissionSet, withPermissions } from './permission-set.js';

/** A permission that is made use of. */
export interface Use {
  kind: string;
  value?: string;
}

export interface PermitsDeps {
  /** Entries of `permissions.net` as origins that can be reached, with the configuration of the instance. */
  parseNet: (entries: readonly string[]) => Grant[];
  narrowing: Narrowing | undefined;
  onUse: (use: Use) => void;
  onRefused: (use: Use, code: ErrorCode) => void;
  release: () => void;
}

/** What one running version of a plugin may do now. It changes while it runs; whoever asks gets what holds at that moment. */
export class Permits {
  readonly asked: PermissionSet;
  #set!: PermissionSet;
  #granted!: PluginManifest;
  #grants!: Grant[];
  /** Told of changes. */
  onChange: () => void = () => {};

  /** Throws MANIFEST_INVALID or CONFIG_INVALID for what it may reach. */
  constructor(
    readonly manifest: PluginManifest,
    private readonly deps: PermitsDeps,
  ) {
    this.asked = askedBy(manifest);
    this.#apply(deps.narrowing);
  }

  get set(): PermissionSet {
    return this.#set;
  }

  /** The manifest, with the permissions that are granted only. */
  get granted(): PluginManifest {
    return this.#granted;
  }

  /** What it may reach by `fetch`. */
  get grants(): Grant[] {
    return this.#grants;
  }

  change(narrowing: Narrowing | undefined): void {
    this.#apply(narrowing);
    this.onChange();
  }

  used(use: Use): void {
    this.deps.onUse(use);
  }

  refused(use: Use, code: ErrorCode): void {
    this.deps.onRefused(use, code);
  }

  /** The instance has ended. */
  release(): void {
    this.deps.release();
  }

  /** All or nothing: what can't be parsed changes nothing. */
  #apply(narrowing: Narrowing | undefined): void {
    const set = effective(this.asked, narrowing);
    const grants = this.deps.parseNet(set.net);
    this.#set = set;
    this.#grants = grants;
    this.#granted = narrowing ? withPermissions(this.manifest, set) : this.manifest;
  }
}
