import type { Catalogue, StoredVersion } from './catalogue.js';
import type { Channel } from './index-document.js';

/** What has changed in the store. */
export type StoreEvent =
  | {
      type: 'published' | 'removed' | 'yanked' | 'unyanked' | 'deprecated' | 'quarantined' | 'released';
      id: string;
      version: string;
    }
  | { type: 'channel'; id: string; channel: Channel; version: string | undefined };

type Kind = Exclude<StoreEvent['type'], 'channel'>;

const CHANNELS: readonly Channel[] = ['latest', 'next'];

/** The events that lead from one state to another. */
export function differences(before: Catalogue, after: Catalogue): StoreEvent[] {
  const gone = before.versions().filter(({ id, version }) => !after.version(id, version));
  return [
    ...gone.map(({ id, version }): StoreEvent => ({ type: 'removed', id, version })),
    ...after.versions().flatMap((now) => {
      const { id, version } = now;
      return kinds(before.version(id, version), now).map((type): StoreEvent => ({ type, id, version }));
    }),
    ...channelChanges(before, after),
  ];
}

function kinds(before: StoredVersion | undefined, now: StoredVersion): Kind[] {
  const found: Kind[] = [];
  if (!before) found.push('published');
  if (!before?.yanked && now.yanked) found.push('yanked');
  if (before?.yanked && !now.yanked) found.push('unyanked');
  if (now.deprecated && before?.deprecated?.reason !== now.deprecated.reason) found.push('deprecated');
  if (!before?.quarantined && now.quarantined) found.push('quarantined');
  if (before?.quarantined && !now.quarantined) found.push('released');
  return found;
}

/** Who follows a channel has to look when the version it leads to is another. */
function channelChanges(before: Catalogue, after: Catalogue): StoreEvent[] {
  const ids = new Set([...before.list(), ...after.list()].map(({ id }) => id));
  return [...ids].flatMap((id) =>
    CHANNELS.filter((channel) => before.get(id)?.channels[channel] !== after.get(id)?.channels[channel]).map(
      (channel): StoreEvent => ({ type: 'channel', id, channel, version: after.get(id)?.channels[channel] }),
    ),
  );
}
