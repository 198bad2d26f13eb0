import path from 'node:path';
import type { BootReport } from './kernel.js';

/** The boot as a tree with durations: what an operator wants to see at a glance. */
export function renderBootTree(report: BootReport, totalMs: number): string {
  const lines = [`Atoll  ${report.url}  (ready in ${totalMs} ms)`];
  for (const { name, ms } of report.steps) lines.push(`├─ ${name.padEnd(26)} ${String(ms).padStart(5)} ms`);
  for (const plugin of report.plugins) {
    const time = plugin.startMs === undefined ? '        ' : `${String(plugin.startMs).padStart(5)} ms`;
    lines.push(
      `│  ├─ ${`${plugin.id}@${plugin.version}`.padEnd(23)} ${time}  ${plugin.state}${plugin.state !== 'active' && plugin.reason ? `: ${plugin.reason}` : ''}`,
    );
  }
  for (const { dir, error } of report.problems)
    lines.push(`│  ├─ ${path.basename(dir)}  refused: ${error.message} (${error.code})`);
  lines.push(`└─ root key: ${whereIsTheKey(report)}`);
  return `${lines.join('\n')}\n`;
}

function whereIsTheKey({ rootKey }: BootReport): string {
  if (!rootKey.file) return 'as configured (ATOLL_ADMIN_KEY)';
  return rootKey.generated ? `${rootKey.key}  (shown once; kept in ${rootKey.file})` : `in ${rootKey.file}`;
}
