import type { BundledPackage } from './bundled-packages.js';

const RULE = '-'.repeat(80);

/** The licence list of a package: a table of what is bundled, then every licence text once per package. */
export function licenceList(packages: readonly BundledPackage[]): string {
  if (packages.length === 0) return 'This package contains no code of others.\n';
  const rows = packages.map(({ name, version, license }) => `${name}@${version}: ${license ?? 'no licence stated'}`);
  const texts = packages.flatMap(({ name, version, licenceTexts }) =>
    licenceTexts.map((text) => `${RULE}\n${name}@${version}\n${RULE}\n${text}\n`),
  );
  return `This package contains code of:\n\n${rows.join('\n')}\n${texts.length > 0 ? `\n${texts.join('\n')}` : ''}`;
}
