import { AtollError, type Principal } from '@atoll/plugin-sdk/contract';
import type { Redis } from 'ioredis';
import { HOME } from '../auth/index.js';
import type { Database } from '../database/index.js';
import { addressBlock } from '../http/client-address.js';
import type { IdentityChanges } from '../identity/changes.js';
import { Counters } from './counters.js';
import type { Count } from './windows.js';
import { type Caller, counterOf, type LimitRule, precedence, type RouteClass } from './rule.js';

/** The limit that a caller is nearest to. */
export interface Standing extends Count {
  rule: LimitRule;
}

export interface RateLimitsDeps {
  database: Database;
  changes: IdentityChanges;
  /** Of the configuration; a rule of the same id that was set through the API is instead of it. */
  configured: readonly LimitRule[];
  redis: Redis | undefined;
  onProblem: (error: unknown) => void;
}

const CLASSES: readonly RouteClass[] = ['auth', 'read', 'write', 'plugin'];

/** Rate limits: rules of the configuration and those that were set through the API. A change holds at once, on all nodes. */
export class RateLimits {
  #stored = new Map<string, LimitRule>();
  #tiers = new Map<string, string>();
  /** For each class, its rules by what they count for: the more particular ones first. */
  #byClass = new Map<RouteClass, Counters[][]>();
  #counters = new Map<string, Counters>();
  #loading: Promise<void> | undefined;
  #loadAgain = false;
  readonly #unsubscribe: () => void;

  constructor(private readonly deps: RateLimitsDeps) {
    this.#arrange();
    this.#unsubscribe = deps.changes.onChange((subject) => {
      if (subject === 'everything' || subject === 'limits' || subject.startsWith('organisation:')) this.#reload();
    });
  }

  /** Reads what was set through the API; the database has to be open. */
  async start(): Promise<void> {
    await this.#load();
  }

  /** Resolves when nothing is being read any more. */
  async close(): Promise<void> {
    this.#unsubscribe();
    this.#loadAgain = false;
    await this.#loading;
  }

  /** All rules that hold. */
  list(): (LimitRule & { source: 'configuration' | 'api' })[] {
    const configured = this.deps.configured.filter(({ id }) => !this.#stored.has(id));
    return [
      ...configured.map((rule) => ({ ...rule, source: 'configuration' as const })),
      ...[...this.#stored.values()].map((rule) => ({ ...rule, source: 'api' as const })),
    ].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  async put(rule: LimitRule): Promise<LimitRule> {
    const before = this.list().find(({ id }) => id === rule.id);
    this.deps.changes.note({ target: `limit:${rule.id}`, ...(before && { before }), after: rule });
    await this.deps.changes.apply('limits', async () => {
      await this.deps.database.query(
        'insert into rate_limit (id, rule) values ($1, $2) on conflict (id) do update set rule = excluded.rule, updated_at = now()',
        [rule.id, JSON.stringify(rule)],
      );
    });
    await this.#loading;
    return rule;
  }

  /** Takes a rule away that was set through the API. Throws NOT_FOUND. */
  async remove(id: string): Promise<void> {
    const before = this.#stored.get(id);
    if (!before) throw new AtollError('NOT_FOUND', `No limit "${id.slice(0, 100)}" was set through the API.`);
    this.deps.changes.note({ target: `limit:${id}`, before });
    await this.deps.changes.apply('limits', async () => {
      await this.deps.database.query('delete from rate_limit where id = $1', [id]);
    });
    await this.#loading;
  }

  /** Whether a call of this class would be counted at all. */
  applies(routeClass: RouteClass, principal: Principal | undefined): boolean {
    return principal?.kind !== 'root' && this.#byClass.has(routeClass);
  }

  /**
   * Counts a call. Resolves with the limit that the caller is nearest to, if there is one; throws TOO_MANY_REQUESTS with `standing` and
   * `retryAfter`. The root key has no limits: it has to work when all else fails.
   */
  async count(
    routeClass: RouteClass,
    principal: Principal | undefined,
    address: string,
  ): Promise<Standing | undefined> {
    if (!this.applies(routeClass, principal)) return undefined;
    const caller = this.#callerOf(principal, address);
    let nearest: Standing | undefined;
    for (const choices of this.#byClass.get(routeClass)!) {
      const standing = await countFirst(choices, caller);
      if (standing && !standing.allowed) throw refused(standing);
      if (standing && (!nearest || standing.remaining < nearest.remaining)) nearest = standing;
    }
    return nearest;
  }

  #callerOf(principal: Principal | undefined, address: string): Caller {
    if (!principal) return { address: addressBlock(address) };
    const { kind, id, user, organisation = HOME } = principal;
    const tier = this.#tiers.get(organisation);
    return {
      address: addressBlock(address),
      organisation,
      ...(kind === 'key' && { key: id }),
      ...(user !== undefined && { user }),
      ...(tier !== undefined && { tier }),
    };
  }

  #reload(): void {
    this.#loadAgain = true;
    this.#loading ??= this.#loadWhileNeeded().finally(() => {
      this.#loading = undefined;
    });
  }

  async #loadWhileNeeded(): Promise<void> {
    while (this.#loadAgain) {
      this.#loadAgain = false;
      await this.#load().catch(this.deps.onProblem);
    }
  }

  async #load(): Promise<void> {
    const { database } = this.deps;
    const rules = await database.query<{ rule: LimitRule }>('select rule from rate_limit');
    const tiers = await database.query<{ id: string; tier: string }>('select id, tier from organisation');
    this.#stored = new Map(rules.map(({ rule }) => [rule.id, rule]));
    this.#tiers = new Map(tiers.map(({ id, tier }) => [id, tier]));
    this.#arrange();
  }

  #arrange(): void {
    const rules = this.list().map(({ source: _, ...rule }) => rule);
    this.#counters = new Map(rules.map((rule) => [rule.id, this.#countersOf(rule)]));
    const all = [...this.#counters.values()].sort((a, b) => precedence(b.rule) - precedence(a.rule));
    this.#byClass = new Map();
    for (const routeClass of CLASSES) {
      const choices = Map.groupBy(
        all.filter(({ rule }) => rule.class === 'any' || rule.class === routeClass),
        ({ rule }) => `${rule.per} ${rule.class}`,
      );
      if (choices.size > 0) this.#byClass.set(routeClass, [...choices.values()]);
    }
  }

  /** What has been counted stays counted, unless the rule is another one now. */
  #countersOf(rule: LimitRule): Counters {
    const known = this.#counters.get(rule.id);
    return known && JSON.stringify(known.rule) === JSON.stringify(rule) ? known : new Counters(rule, this.deps.redis);
  }
}

async function countFirst(choices: readonly Counters[], caller: Caller): Promise<Standing | undefined> {
  for (const counters of choices) {
    const subject = counterOf(counters.rule, caller);
    if (subject !== undefined) return { ...(await counters.count(subject)), rule: counters.rule };
  }
  return undefined;
}

function refused(standing: Standing): AtollError {
  const { id, points, seconds, per } = standing.rule;
  const retryAfter = Math.max(1, Math.ceil(standing.resetMs / 1000));
  const detail = `At most ${points} calls within ${seconds} s for each ${per} (limit "${id}").`;
  return new RateLimited(detail, retryAfter, standing);
}

/** Carries what the headers of the answer tell. */
export class RateLimited extends AtollError {
  constructor(
    detail: string,
    retryAfter: number,
    readonly standing: Standing,
  ) {
    super('TOO_MANY_REQUESTS', detail, { retryAfter, limit: standing.rule.id });
  }
}
