import { AtollError } from '@atoll/plugin-sdk/contract';
import { describe, expect, it } from 'vitest';
import type { NewDocument } from './document.js';
import { GroupedCalls } from './grouped-calls.js';

const documentOf = (id: string, size = 10): NewDocument => ({ id, json: '{}', size });

/** A table that writes when it is told to, and knows ids that are taken. */
class Table {
  readonly statements: string[][] = [];
  readonly rows = new Set<string>();
  #held: PromiseWithResolvers<void> | undefined;

  readonly write = async (_org: string, documents: readonly NewDocument[]) => {
    const ids = documents.map(({ id }) => id);
    this.statements.push(ids);
    await this.#held?.promise;
    if (ids.some((id) => this.rows.has(id))) throw Object.assign(new Error('duplicate key'), { code: '23505' });
    if (ids.includes('lost')) throw new AtollError('DATABASE_UNAVAILABLE');
    for (const id of ids) this.rows.add(id);
    return ids.map((id) => `written ${id}`);
  };

  hold(): () => void {
    const held = Promise.withResolvers<void>();
    this.#held = held;
    return () => {
      this.#held = undefined;
      held.resolve();
    };
  }
}

const grouped = (table: Table) =>
  new GroupedCalls(table.write, { bytes: 1_000_000, bytesOf: ({ size }: NewDocument) => size });

const outcomes = async (all: Promise<string>[]) =>
  (await Promise.allSettled(all)).map((one) =>
    one.status === 'fulfilled' ? one.value.replace(/^written .*/, 'ok') : (one.reason.code as string),
  );

describe('calls for single documents', () => {
  it('go at once when nothing is under way, and together when something is', async () => {
    const table = new Table();
    const inserts = grouped(table);
    const go = table.hold();
    const all = ['a', 'b', 'c', 'd', 'e'].map((id) => inserts.call('org', documentOf(id)));
    go();
    expect(await outcomes(all)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok']);
    expect(table.statements).toEqual([['a'], ['b'], ['c', 'd', 'e']]);
  });

  it('get each the answer that is theirs', async () => {
    const inserts = grouped(new Table());
    const all = await Promise.all(['a', 'b', 'c', 'd'].map((id) => inserts.call('org', documentOf(id))));
    expect(all).toEqual(['written a', 'written b', 'written c', 'written d']);
  });

  it('never mix organisations', async () => {
    const table = new Table();
    const inserts = grouped(table);
    const go = table.hold();
    const all = ['a1', 'b1', 'a2', 'b2', 'a3', 'b3', 'a4', 'b4'].map((id) => inserts.call(id[0]!, documentOf(id)));
    go();
    await Promise.all(all);
    expect(table.statements.flat()).toHaveLength(8);
    expect(table.statements.filter((ids) => new Set(ids.map((id) => id[0])).size > 1)).toEqual([]);
  });

  it('fail for themselves only', async () => {
    const table = new Table();
    table.rows.add('taken');
    const inserts = grouped(table);
    const go = table.hold();
    const all = ['a', 'b', 'c', 'taken', 'd'].map((id) => inserts.call('org', documentOf(id)));
    go();
    expect(await outcomes(all)).toEqual(['ok', 'ok', 'ok', '23505', 'ok']);
    expect([...table.rows]).toEqual(['taken', 'a', 'b', 'c', 'd']);
  });

  it('are not tried again when nobody knows what became of them', async () => {
    const table = new Table();
    const inserts = grouped(table);
    const go = table.hold();
    const all = ['a', 'b', 'c', 'lost'].map((id) => inserts.call('org', documentOf(id)));
    go();
    expect(await outcomes(all)).toEqual(['ok', 'ok', 'DATABASE_UNAVAILABLE', 'DATABASE_UNAVAILABLE']);
    expect(table.statements).toHaveLength(3);
    expect(await outcomes([inserts.call('org', documentOf('later'))])).toEqual(['ok']);
  });

  it('fill a statement only so far', async () => {
    const table = new Table();
    const inserts = grouped(table);
    const go = table.hold();
    const small = Array.from({ length: 252 }, (_, n) => inserts.call('org', documentOf(`s${n}`)));
    const large = Array.from({ length: 4 }, (_, n) => inserts.call('org', documentOf(`l${n}`, 600_000)));
    go();
    await Promise.all([...small, ...large]);
    expect(Math.max(...table.statements.map((ids) => ids.length))).toBe(100);
    expect(Math.max(...table.statements.map((ids) => ids.filter((id) => id.startsWith('l')).length))).toBe(1);
  });
});
