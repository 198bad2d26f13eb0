import { AtollError, type ErrorCode } from '@atoll/plugin-sdk/contract';
import type { PluginManifest } from '@atoll/registry';
import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { countValues } from '../sandbox/host/guest-json.js';
import type { Syscall, SyscallReply } from '../sandbox/host/syscall.js';

/** A permission that a call makes use of: `net` and an origin, `storage`. */
export interface SyscallUse {
  kind: string;
  value?: string;
}

/** Who makes a syscall: the running instance, as far as the capabilities need to know it. */
export interface SyscallOwner {
  readonly manifest: PluginManifest;
  /** What it may do at this moment; it changes while it runs. */
  readonly permits: {
    /** The manifest, with the permissions that are granted only. */
    readonly granted: PluginManifest;
    used(use: SyscallUse): void;
    refused(use: SyscallUse, code: ErrorCode): void;
  };
  /** What it may register. */
  readonly registrations: { spend(registration: unknown): void };
  /** Registers something that is undone when the instance stops. */
  addEffect(effect: OwnedEffect): void;
}

export interface OwnedEffect {
  kind: 'route' | 'listener' | 'service' | 'channel' | 'job' | 'schedule';
  label: string;
  /** Makes it visible to the outside; called when the instance becomes the active one. */
  activate?: () => void;
  /** Whether it may be active with these permissions; while it may not it is undone, and activated again when it may. */
  needs?: (granted: PluginManifest) => boolean;
  undo: () => void;
}

/** One host capability. What has no row does not exist for a plugin. */
export interface SyscallRow<Owner extends SyscallOwner = SyscallOwner> {
  name: string;
  /** Of the manifest's permissions; says what is missing, or undefined when the plugin may. */
  denied?: (manifest: PluginManifest, input: unknown) => string | undefined;
  /**
   * It only registers what is used later. An operator who takes the permission away must not keep the plugin from starting: the manifest
   * decides here, and what is granted when it is used.
   */
  registers?: boolean;
  /** What it registers stays until the instance stops: there may be so much of it. */
  effect?: boolean;
  /** The permission that it makes use of, for the record. */
  uses?: (input: unknown) => SyscallUse | undefined;
  /** Where the input is: the JSON body, or the head of a call whose body is bytes. */
  inputFrom: 'body' | 'head';
  check: (input: unknown) => string | undefined;
  handle: (owner: Owner, input: never, syscall: Syscall) => Promise<SyscallReply> | SyscallReply;
}

/** Declares a row; its handler is typed by its input schema. */
export function syscallRow<Owner extends SyscallOwner, S extends TSchema>(row: {
  name: string;
  input: S;
  inputFrom?: 'body' | 'head';
  denied?: (manifest: PluginManifest, input: Static<S>) => string | undefined;
  registers?: boolean;
  effect?: boolean;
  uses?: (input: Static<S>) => SyscallUse | undefined;
  handle: (owner: Owner, input: Static<S>, syscall: Syscall) => Promise<SyscallReply> | SyscallReply;
}): SyscallRow<Owner> {
  const compiled = Compile(row.input);
  return {
    name: row.name,
    inputFrom: row.inputFrom ?? 'body',
    check: (input) => {
      if (compiled.Check(input)) return undefined;
      const first = [...compiled.Errors(input)][0];
      return `${first?.instancePath || 'the input'} ${first?.message ?? 'is wrong'}`;
    },
    ...(row.denied && { denied: row.denied as NonNullable<SyscallRow['denied']> }),
    ...(row.registers && { registers: true }),
    ...(row.effect && { effect: true }),
    ...(row.uses && { uses: row.uses as NonNullable<SyscallRow['uses']> }),
    handle: row.handle as SyscallRow<Owner>['handle'],
  };
}

/** All host capabilities. The only way from a guest to the kernel. */
export class SyscallTable<Owner extends SyscallOwner> {
  readonly #rows = new Map<string, SyscallRow<Owner>>();

  constructor(rows: readonly SyscallRow<Owner>[]) {
    for (const row of rows) this.#rows.set(row.name, row);
  }

  get names(): string[] {
    return [...this.#rows.keys()];
  }

  /** Answers the call, whatever happens. */
  async dispatch(owner: Owner, syscall: Syscall): Promise<void> {
    try {
      syscall.answer(await this.#run(owner, syscall));
    } catch (error) {
      syscall.refuse(
        error instanceof AtollError ? error : new AtollError('INTERNAL', 'The host failed.', {}, { cause: error }),
      );
    }
  }

  #run(owner: Owner, syscall: Syscall): Promise<SyscallReply> | SyscallReply {
    const row = this.#rows.get(syscall.method);
    if (!row) {
      owner.permits.refused({ kind: 'unknown', value: syscall.method.slice(0, 100) }, 'UNKNOWN_CAPABILITY');
      throw new AtollError('UNKNOWN_CAPABILITY', `There is no host capability "${syscall.method.slice(0, 100)}".`);
    }
    const input = row.inputFrom === 'head' ? syscall.meta.a : parseBody(syscall);
    const problem = row.check(input);
    if (problem) throw new AtollError('VALIDATION_FAILED', `${row.name}: ${problem}.`);
    const use = row.uses?.(input);
    const missing = row.denied?.(row.registers ? owner.manifest : owner.permits.granted, input);
    if (missing !== undefined) {
      owner.permits.refused(use ?? { kind: row.name }, 'PERMISSION_DENIED');
      const taken = row.denied?.(owner.manifest, input) === undefined;
      throw new AtollError('PERMISSION_DENIED', taken ? `${missing} An operator has taken it away.` : missing);
    }
    if (use) owner.permits.used(use);
    if (row.effect) owner.registrations.spend(input);
    return row.handle(owner, input as never, syscall);
  }
}

/** About what a parsed value takes, in bytes. */
const VALUE_BYTES = 64;

function parseBody(syscall: Syscall): unknown {
  const { body } = syscall;
  if (!body || body.length === 0) return undefined;
  const text = body.toString('utf8');
  syscall.hold(countValues(text) * VALUE_BYTES);
  try {
    return JSON.parse(text);
  } catch {
    throw new AtollError('VALIDATION_FAILED', 'The input is not JSON.');
  }
}
