/**
 * Why each exception is raised: every rule (src/isa/reasons) with an instruction that breaks it, and the sentence that a person reads. docs/exception-reasons.md is made of the tables
 * in ./reasons.
 */
import * as assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { RULES, type RuleName } from '../../src/isa/reasons/index';
import { events } from './reasons/events';
import { instructions } from './reasons/instructions';
import { memory } from './reasons/memory';
import { privileges } from './reasons/privileges';
import { registers } from './reasons/registers';
import { selectors } from './reasons/selectors';
import { examples } from './support/exception-reasons';

describe('why an exception is raised', () => {
  describe('memory', memory);
  describe('selectors, descriptors and gates', selectors);
  describe('privileges', privileges);
  describe('control registers, debug registers and MSRs', registers);
  describe('instructions', instructions);
  describe('paging, and what comes of other events, under every method', events);

  describe('the table', () => {
    it('every rule has an example; docs/exception-reasons.md lists them', () => {
      const seen = new Set(examples.map((e) => e.rule));
      assert.deepEqual(
        (Object.keys(RULES) as RuleName[]).filter((r) => !seen.has(r) && !(r in ELSEWHERE)),
        [],
      );
      const shown = document();
      if (process.env['UPDATE_GOLDEN']) writeFileSync(DOCUMENT, shown);
      assert.equal(readFileSync(DOCUMENT, 'utf8'), shown);
    });
  });
});

/** Rules without an example here. */
const ELSEWHERE: Readonly<Partial<Record<RuleName, string>>> = {
  injected: 'what a hypervisor injects without a reason of its own',
  'async-page': 'needs a host that swaps',
  'not-emulated': 'user code in a hole of guest memory',
  'monitor-ecx': 'no CPU model has MONITOR',
};
const DOCUMENT = new URL('../../docs/exception-reasons.md', import.meta.url);

/** One row a rule: its first example. */
function document(): string {
  const rows = (Object.keys(RULES) as RuleName[]).flatMap((rule) => {
    const e = examples.find((x) => x.rule === rule);
    if (!e) return [];
    const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', '; ');
    return [`| \`${rule}\` | ${e.exception} | ${cell(e.sentence)} | ${RULES[rule].section} |`];
  });
  return [
    '# Why exceptions are raised',
    '',
    'Every exception of the guest carries the check that failed and what it looked at. The sentences are those of the triple-fault chain, of stops at exceptions, of `explain` in the',
    'Debug Console and of `"reason"` in the report; each stands here with the values of one example. A test makes this page from the instructions that break the rules.',
    '',
    '| check | exception | example | rule |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
