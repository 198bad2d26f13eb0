import type { Command } from 'commander';
import type { Run } from './command.js';
import { browseCommands } from './marketplace-browse.js';
import { installCommands } from './marketplace-install.js';
import { publishingCommands } from './marketplace-publish.js';
import { outdatedCommand } from './outdated.js';
import { rehearseCommand } from './rehearse.js';
import { removeCommand } from './remove.js';
import { upgradeCommand } from './upgrade.js';

/** `atoll search|info|outdated|install|upgrade|rollback|remove|publish|yank|unyank`: the marketplace of a running server. */
export function marketplaceCommands(program: Command, run: Run): void {
  browseCommands(program, run);
  outdatedCommand(program, run);
  installCommands(program, run);
  upgradeCommand(program, run);
  rehearseCommand(program, run);
  removeCommand(program, run);
  publishingCommands(program, run);
}
