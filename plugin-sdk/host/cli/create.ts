import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Command, Option } from 'commander';
import type { Run } from './command.js';
import { CliError, EXIT } from './errors.js';
import { TEMPLATES, type TemplateName } from './templates/index.js';

const ID = /^[a-z][a-z0-9-]{0,63}$/;

export interface CreatedPlugin {
  id: string;
  dir: string;
  files: string[];
}

/** Writes a new plugin into a folder; its id is the folder's name. */
export function createPlugin(name: string, parent: string, template: TemplateName): CreatedPlugin {
  const dir = path.resolve(parent, name);
  const id = path.basename(dir);
  if (!ID.test(id)) {
    const hint = 'Use lower case letters, digits and dashes, starting with a letter.';
    throw new CliError(`"${id}" can't be a plugin id.`, EXIT.USAGE, { hint });
  }
  if (existsSync(dir)) {
    throw new CliError(`${dir} exists already.`, EXIT.FAILURE, { hint: 'Choose another name, or remove the folder.' });
  }
  const files = TEMPLATES[template](id, titleOf(id));
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(dir, file)), { recursive: true });
    writeFileSync(path.join(dir, file), text);
  }
  return { id, dir, files: Object.keys(files) };
}

/** `my-plugin` → `My Plugin`. */
const titleOf = (id: string): string =>
  id
    .split('-')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join(' ');

/** What to do next, for people. */
export function nextSteps({ dir, files }: CreatedPlugin, cwd: string): string {
  const shown = path.relative(cwd, dir) || '.';
  return `Wrote ${dir}
  ${files.join('  ')}

Next:
  npm run atoll -- dev ${shown}      a server with live reload
  npm run atoll -- test ${shown}     run its tests
  npm run atoll -- build ${shown}    check the manifest and bundle
README.md in it says what it does.
`;
}

export function createCommand(program: Command, run: Run): void {
  program
    .command('create <name>')
    .description('write a new plugin into a folder of that name')
    .addOption(new Option('--template <name>', 'what to start from').choices(Object.keys(TEMPLATES)).default('http'))
    .action((name: string, { template }: { template: TemplateName }) =>
      run(async (out) => {
        const created = createPlugin(name, process.cwd(), template);
        out.result(created, nextSteps(created, process.cwd()));
      }),
    );
}
