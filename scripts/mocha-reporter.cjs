/**
 * Mocha's own reporter (`base`, default dot) that also writes what scripts/test.mjs sums up, as JSON to the file `summary`:
 * the counts, each skipped test with the reason that test/support/needs.ts noted, and each test that was run again because it had failed.
 */
const { writeFileSync } = require('node:fs');
const Mocha = require('mocha');

const REASONS = Symbol.for('pagewalk.skip-reasons');

function reasonOf(test) {
  const reasons = globalThis[REASONS];
  for (let node = test; node; node = node.parent) {
    const reason = reasons?.get(node);
    if (reason) return reason;
  }
  return undefined;
}

module.exports = class PagewalkReporter {
  constructor(runner, options) {
    const { base = 'dot', summary } = options.reporterOptions ?? {};
    this.base = new Mocha.reporters[base === 'spec' ? 'Spec' : 'Dot'](runner, options);
    const skipped = [];
    runner.on('pending', (test) =>
      skipped.push({ title: test.fullTitle(), why: reasonOf(test) ?? 'marked as pending' }),
    );
    const retried = [];
    runner.on('retry', (test, error) => {
      const why = String(error?.message ?? error).split('\n', 1)[0];
      retried.push({ title: test.fullTitle(), why });
      console.log(`    again: ${test.title} (${why})`);
    });
    runner.once('end', () => {
      const { passes, failures } = runner.stats;
      if (summary) writeFileSync(summary, JSON.stringify({ passed: passes, failed: failures, skipped, retried }));
    });
  }
};
