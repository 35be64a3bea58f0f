/**
 * Runs every test, setting up first what a fresh machine lacks. `--only=lint,unit` runs some of the steps.
 * At the end: what ran, the ten slowest tests, what was skipped and why, what failed, what was run again, and a last line `N passed, N failed, N skipped`.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  buildBundles,
  findChromium,
  installDependencies,
  installVSCodeHost,
  packageExtension,
  progress,
  root,
  tool,
} from './lib.mjs';

const only = process.argv
  .find((arg) => arg.startsWith('--only='))
  ?.slice('--only='.length)
  .split(',');
const scratch = mkdtempSync(join(tmpdir(), 'pw-test-'));

/** A step that either holds or does not: one passed or one failed. */
const holds = async (status) =>
  (await status) === 0 ? { passed: 1, failed: 0, skipped: [] } : { passed: 0, failed: 1, skipped: [] };

/** A mocha run; a run that ends without a summary (a file that does not load) counts as one failure. */
async function mocha(name, base, args, env = {}) {
  const summary = join(scratch, `${name}.json`);
  const reporter = ['--reporter', join(root, 'scripts/mocha-reporter.cjs')];
  const options = ['--reporter-option', `base=${base}`, '--reporter-option', `summary=${summary}`];
  const notes = { PAGEWALK_SKIP_REASONS: join(scratch, `${name}.skipped`), TMPDIR: scratch };
  const status = await tool('mocha', [...reporter, ...options, ...args], { env: { ...process.env, ...notes, ...env } });
  try {
    const counts = JSON.parse(readFileSync(summary, 'utf8'));
    return status !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } catch {
    return { passed: 0, failed: 1, skipped: [] };
  }
}

async function endToEnd() {
  if (!findChromium())
    return { passed: 0, failed: 0, skipped: [{ title: 'end-to-end tests', why: 'no chromium on PATH' }] };
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return {
      passed: 0,
      failed: 0,
      skipped: [{ title: 'end-to-end tests', why: 'the VS Code host needs Linux x86-64' }],
    };
  await installVSCodeHost();
  await packageExtension();
  return mocha('e2e', 'spec', ['--config', 'test/e2e/.mocharc.json', 'test/e2e/**/*.test.ts'], {
    CHROME: findChromium(),
  });
}

const steps = [
  { id: 'types', title: 'types', run: () => holds(tool('tsc', ['--noEmit', '-p', '.'])) },
  { id: 'types', title: 'types of the webview', run: () => holds(tool('tsc', ['--noEmit', '-p', 'src/webview'])) },
  {
    id: 'types',
    title: 'types of the end-to-end tests',
    run: () => holds(tool('tsc', ['--noEmit', '-p', 'test/e2e'])),
  },
  { id: 'lint', title: 'lint', run: () => holds(tool('eslint', ['.'])) },
  {
    id: 'lint',
    title: 'lint that asks the type checker',
    run: () => holds(tool('eslint', ['-c', 'eslint.types.config.mjs', 'src', 'test', 'scripts/manifest.ts'])),
  },
  { id: 'lint', title: 'dead exports, files and packages', run: () => holds(tool('knip', ['--no-progress'])) },
  { id: 'format', title: 'format', run: () => holds(tool('prettier', ['--check', '--log-level', 'warn', '.'])) },
  {
    id: 'unit',
    title: 'unit, golden, adapter and command-line tests',
    run: () => mocha('unit', 'dot', ['--parallel', '--jobs', String(availableParallelism()), 'test/**/*.test.ts']),
  },
  { id: 'e2e', title: 'end-to-end tests in VS Code', run: endToEnd },
];

const results = [];
try {
  await installDependencies();
  await buildBundles();
  for (const step of steps.filter(({ id }) => !only || only.includes(id))) {
    progress(step.title);
    const started = Date.now();
    const result = await step.run().catch((error) => {
      console.error(error.message);
      return { passed: 0, failed: 1, skipped: [] };
    });
    results.push({ ...step, ...result, seconds: (Date.now() - started) / 1000 });
  }
} catch (error) {
  console.error(error.message);
  results.push({ title: 'set-up', passed: 0, failed: 1, skipped: [], seconds: 0 });
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

const total = { passed: 0, failed: 0, skipped: 0 };
console.log('\nWhat ran:');
for (const { title, passed, failed, skipped, seconds } of results) {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped.length;
  const verdict = failed > 0 ? 'FAILED' : passed > 0 ? 'ok' : 'skipped';
  console.log(
    `  ${verdict.padEnd(7)}  ${title}: ${passed} passed, ${failed} failed, ${skipped.length} skipped (${seconds.toFixed(1)} s)`,
  );
}
const slowest = results.flatMap((result) => result.slowest ?? []).sort((a, b) => b.seconds - a.seconds);
if (slowest.length > 0) console.log('Slowest:');
for (const { title, seconds } of slowest.slice(0, 10)) console.log(`  ${seconds.toFixed(1).padStart(6)} s  ${title}`);
const skipped = results.flatMap((result) => result.skipped);
if (skipped.length > 0) console.log('Skipped:');
for (const { title, why } of skipped) console.log(`  ${title} (${why})`);
const failures = results.flatMap((result) => result.failures ?? []);
if (failures.length > 0) console.log('Failed:');
for (const { title, why } of failures) console.log(`  ${title} (${why})`);
const retried = results.flatMap((result) => result.retried ?? []);
if (retried.length > 0)
  console.log(`Failed and run again, ${retried.length} ${retried.length === 1 ? 'time' : 'times'}:`);
for (const { title, why } of retried) console.log(`  ${title} (${why})`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 ? 1 : 0;
