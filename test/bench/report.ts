/** One line of the table. */
export interface Row {
  what: string;
  result: string;
  /** What it was compared with, measured in the same run. */
  baseline?: string;
  target?: string;
  /** Absent where there is no target. */
  met?: boolean;
}

export function renderTable(rows: readonly Row[]): string {
  const head = ['Measured', 'Atoll', 'Baseline of this run', 'Target', ''];
  const cells = rows.map(({ what, result, baseline = '', target = '', met }) => {
    return [what, result, baseline, target, met === undefined ? '' : met ? 'met' : '**missed**'];
  });
  const line = (row: readonly string[]) => `| ${row.join(' | ')} |`;
  return `${[line(head), line(head.map(() => '---')), ...cells.map(line)].join('\n')}\n`;
}

export const ms = (value: number): string => `${value.toFixed(value < 10 ? 2 : 1)} ms`;
export const percent = (value: number): string => `${(value * 100).toFixed(0)} %`;
export const perSecond = (value: number): string => `${Math.round(value)} req/s`;
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
