/** `pagewalk trace --format`: what other programs read, against the Steps themselves. */
import * as assert from 'node:assert/strict';
import { example, pagewalk } from './support';

const files = { '/g/guest.asm': example('worked-example') };
const trace = async (...options: string[]): Promise<string> => {
  const { stdout, stderr } = await pagewalk(['trace', '/g/guest.asm', ...options], files);
  assert.equal(stderr, '');
  return stdout;
};
interface Line {
  readonly function: string;
  readonly cycles: number;
}
interface Event {
  readonly ph: string;
  readonly tid: number;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
}

describe('pagewalk trace --format', () => {
  it('csv: a line for each exit, whose Steps are those of the JSON lines', async () => {
    const [head = '', ...rows] = (await trace('--format', 'csv')).trimEnd().split('\n');
    const columns = head.split(',');
    const column = (row: string, name: string): string => row.split(',')[columns.indexOf(name)] ?? '';
    const { stdout } = await pagewalk(['run', '/g/guest.asm', '--json'], files);
    const report = JSON.parse(stdout) as { exits: Record<string, number>; cycles: number };
    const counts: Record<string, number> = {};
    for (const row of rows) counts[column(row, 'reason')] = (counts[column(row, 'reason')] ?? 0) + 1;
    assert.deepEqual(counts, report.exits);
    const lines = (await trace())
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    const handled = lines.slice(lines.findIndex((line) => line.function === 'VM exit'));
    const cost = rows.reduce((sum, row) => sum + Number(column(row, 'cost')), 0);
    assert.equal(
      cost,
      handled.reduce((sum, line) => sum + line.cycles, 0),
    );
    assert.equal(handled.filter((line) => line.function === 'VM exit').length, rows.length);
  });

  it('chrome: a track for each lane, events that do not overlap on it, of the length of the run', async () => {
    const { traceEvents } = JSON.parse(await trace('--format', 'chrome')) as { traceEvents: Event[] };
    const names = traceEvents.filter(({ name }) => name === 'thread_name').length;
    assert.equal(names, 6);
    for (let tid = 1; tid <= 6; tid++) {
      let end = -1;
      for (const { ts, dur } of traceEvents.filter((e) => e.ph === 'X' && e.tid === tid)) {
        assert.ok(ts >= end - 1e-9, `track ${tid} at ${ts}`);
        end = ts + dur;
      }
    }
    const steps = (await trace())
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as Line).function);
    assert.deepEqual(
      traceEvents.filter((e) => e.ph === 'X' && e.tid > 2).map((e) => e.name),
      steps.slice(steps.indexOf('VM exit')),
    );
  });

  it('refuses a format that it does not know', async () => {
    const { code, stderr } = await pagewalk(['trace', '/g/guest.asm', '--format', 'xml'], files);
    assert.equal(code, 2);
    assert.match(stderr, /PW605.*csv/);
  });
});
