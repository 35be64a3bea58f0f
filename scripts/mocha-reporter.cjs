/**
 * Mocha's own reporter (`base`, default dot) that also writes what scripts/test.mjs sums up, as JSON to the file `summary`:
 * the counts, each skipped test with the reason that test/support/needs.ts noted, each test that failed, each that was run
 * again because it had failed, and the slowest ten. Tests may run in several processes, so nothing is shared but files.
 */
const { readFileSync, writeFileSync } = require('node:fs');
const Mocha = require('mocha');

/** What test/support/needs.ts noted: a title of a test or of a suite, and why it is skipped. */
function readNotes() {
  try {
    const lines = readFileSync(process.env.PAGEWALK_SKIP_REASONS, 'utf8').split('\n');
    return lines.filter(Boolean).map((line) => JSON.parse(line));
  } catch {
    return [];
  }
}

const firstLine = (error) => String(error?.message ?? error).split('\n', 1)[0];

module.exports = class PagewalkReporter {
  constructor(runner, options) {
    const { base = 'dot', summary } = options.reporterOptions ?? {};
    this.base = new Mocha.reporters[base === 'spec' ? 'Spec' : 'Dot'](runner, options);
    const skipped = [];
    const failed = [];
    const retried = [];
    const timed = [];
    runner.on('pending', (test) => skipped.push(test.fullTitle()));
    runner.on('fail', (test, error) => failed.push({ title: test.fullTitle(), why: firstLine(error) }));
    runner.on('retry', (test, error) => {
      retried.push({ title: test.fullTitle(), why: firstLine(error) });
      console.log(`    again: ${test.title} (${firstLine(error)})`);
    });
    runner.on('pass', (test) => timed.push({ title: test.fullTitle(), seconds: (test.duration ?? 0) / 1000 }));
    runner.once('end', () => {
      if (!summary) return;
      const notes = readNotes();
      const whyOf = (title) =>
        notes.find((note) => title === note.title || title.startsWith(`${note.title} `))?.why ?? 'marked as pending';
      const { passes, failures } = runner.stats;
      const slowest = timed.sort((a, b) => b.seconds - a.seconds).slice(0, 10);
      const reasons = skipped.map((title) => ({ title, why: whyOf(title) }));
      writeFileSync(
        summary,
        JSON.stringify({ passed: passes, failed: failures, skipped: reasons, failures: failed, retried, slowest }),
      );
    });
  }
};
