/** A package, as a bill of materials lists it. */
export interface SbomEntry {
  name: string;
  version: string;
  license?: string;
  description?: string;
}

/** A software bill of materials (CycloneDX 1.6, JSON). It names no time and no serial number: the same input gives the same text. */
export async function sbomOf(subject: SbomEntry, packages: readonly SbomEntry[]): Promise<string> {
  // Loaded when something is packed: a server that only runs plugins does not need it.
  const [{ Contrib, Enums, Models, Serialize, Spec }, { default: parseSpdx }] = await Promise.all([
    import('@cyclonedx/cyclonedx-library'),
    import('spdx-expression-parse'),
  ]);
  const licences = new Contrib.License.Factories.LicenseFactory(parseSpdx);
  const component = (kind: 'Application' | 'Library', one: SbomEntry) =>
    new Models.Component(Enums.ComponentType[kind], one.name.split('/').at(-1)!, {
      version: one.version,
      ...(one.name.startsWith('@') && { group: one.name.split('/')[0]! }),
      purl: purlOf(one),
      bomRef: purlOf(one),
      ...(one.description !== undefined && { description: one.description }),
      ...(one.license !== undefined && {
        licenses: new Models.LicenseRepository([licences.makeFromString(one.license)]),
      }),
    });
  const root = component('Application', subject);
  const parts = packages.map((one) => component('Library', one));
  for (const part of parts) root.dependencies.add(part.bomRef);
  const bom = new Models.Bom({
    metadata: new Models.Metadata({ component: root }),
    components: new Models.ComponentRepository(parts),
  });
  const factory = new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6);
  return `${new Serialize.JsonSerializer(factory).serialize(bom, { sortLists: true, space: 2 })}\n`;
}

/** A package URL as the npm type of that specification writes it. */
const purlOf = ({ name, version }: SbomEntry): string =>
  `pkg:npm/${name.replace(/^@/, '%40')}@${encodeURIComponent(version)}`;
