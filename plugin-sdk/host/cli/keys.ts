import { keyIdOf } from '@atoll/registry';
import type { Command } from 'commander';
import type { Run } from './command.js';
import { table } from './output.js';
import { createSigningKey, loadSigningKey, signingKeyFile } from './signing-key.js';
import { onStore, type StoreFlags, withStore } from './store.js';
import { readKey } from './verify.js';

interface TrustFlags extends StoreFlags {
  publisher?: string;
  restore?: boolean;
}

/** `atoll keys …`: the key one signs with, and the keys a store trusts. */
export function keyCommands(program: Command, run: Run): void {
  const keys = program.command('keys').description('keys that sign packages');
  ownKey(keys, run);
  withStore(keys.command('list').description('keys that the store knows')).action((flags: StoreFlags) =>
    onStore(run, flags, async (store, out) => {
      const rows = store
        .keys()
        .map(({ keyId, publisher, trust, since, reason }) => [keyId, publisher, trust, since, reason ?? '']);
      out.result(store.keys(), table(['key', 'publisher', 'trust', 'since', 'reason'], rows));
    }),
  );
  withStore(keys.command('trust <key>').description('trust a key: a file, its public part, or the id of a known one'))
    .option('--publisher <name>', 'whose key it is; a publisher may have several')
    .option('--restore', 'also when it was revoked')
    .action((key: string, flags: TrustFlags) =>
      onStore(run, flags, async (store, out) => {
        const publicKey = store.keys().find(({ keyId }) => keyId === key)?.publicKey ?? (await readKey(key));
        const { publisher, restore } = flags;
        const trusted = await store.trustKey({
          publicKey,
          ...(publisher !== undefined && { publisher }),
          ...(restore && { restore }),
        });
        out.result(trusted, `${trusted.keyId} of ${trusted.publisher} is trusted.`);
      }),
    );
  withStore(keys.command('revoke <key-id>').description('quarantine everything a key has signed'))
    .requiredOption('--reason <text>', 'why, for those who ask')
    .action((keyId: string, flags: StoreFlags & { reason: string }) =>
      onStore(run, flags, async (store, out) => {
        const quarantined = (await store.revokeKey(keyId, flags.reason)).map(({ id, version }) => ({ id, version }));
        const lines = quarantined.map(({ id, version }) => `${id}@${version} is quarantined.`);
        out.result({ keyId, quarantined }, [`${keyId} is revoked.`, ...lines].join('\n'));
      }),
    );
}

function ownKey(keys: Command, run: Run): void {
  const file = ['--signing-key <file>', 'ATOLL_SIGNING_KEY, else publisher.key in your configuration folder'] as const;
  keys
    .command('create')
    .description('make a key to sign with')
    .option(...file)
    .action(({ signingKey }: { signingKey?: string }) =>
      run(async (out) => {
        const where = signingKeyFile(signingKey);
        const { keyId, publicKey } = createSigningKey(where);
        out.result(
          { file: where, keyId, publicKey },
          `${where} is your signing key: keep it, and keep it secret.\n${keyId}\n${publicKey}`,
        );
      }),
    );
  keys
    .command('show')
    .description('the public part of the key you sign with, for those who should trust it')
    .option(...file)
    .action(({ signingKey }: { signingKey?: string }) =>
      run(async (out) => {
        const { publicKey } = loadSigningKey(signingKeyFile(signingKey));
        out.result({ keyId: keyIdOf(publicKey), publicKey }, `${keyIdOf(publicKey)}\n${publicKey}`);
      }),
    );
}
