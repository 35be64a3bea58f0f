/**
 * Citations of the manuals in src: each is of the form that CONTRIBUTING names, and of a chapter and section that the edition named there has.
 */
import * as assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const SRC = join(ROOT, 'src');

/** A chapter's title and the number of its last section. */
type Chapters = Readonly<Record<number, readonly [title: string, sections: number]>>;

/** What we cite, by manual and volume, in the editions of CONTRIBUTING. */
const MANUALS: Readonly<Record<string, Chapters>> = {
  'SDM vol. 1': {
    3: ['Basic Execution Environment', 7],
    4: ['Data Types', 9],
    6: ['Procedure Calls, Interrupts, and Exceptions', 6],
    7: ['Programming with General-Purpose Instructions', 3],
    8: ['Programming with the x87 FPU', 7],
    9: ['Programming with Intel MMX Technology', 6],
    10: ['Programming with Intel SSE', 6],
    11: ['Programming with Intel SSE2', 6],
    12: ['Programming with Intel SSE3, SSSE3, Intel SSE4, and Intel AES-NI', 13],
    13: ['Managing State Using the XSAVE Feature Set', 14],
    14: ['Programming with Intel AVX, FMA, and Intel AVX2', 13],
    18: ['Input/Output', 6],
  },
  'SDM vol. 2': {
    2: ['Instruction Format', 7],
    3: ['Instruction Set Reference, A-L', 3],
    4: ['Instruction Set Reference, M-U', 3],
    5: ['Instruction Set Reference, V', 1],
    6: ['Instruction Set Reference, W-Z', 1],
  },
  'SDM vol. 3': {
    2: ['System Architecture Overview', 8],
    3: ['Protected-Mode Memory Management', 5],
    4: ['Paging', 12],
    5: ['Protection', 13],
    6: ['Interrupt and Exception Handling', 15],
    7: ['Task Management', 7],
    8: ['Multiple-Processor Management', 11],
    9: ['Processor Management and Initialization', 12],
    10: ['Advanced Programmable Interrupt Controller', 12],
    11: ['Memory Cache Control', 12],
    12: ['Intel MMX Technology System Programming', 6],
    13: ['System Programming for Instruction Set Extensions and Processor Extended States', 6],
    15: ['Machine-Check Architecture', 10],
    17: ['Debug, Branch Profile, TSC, and Intel RDT Features', 19],
    20: ['8086 Emulation', 4],
    21: ['Mixing 16-Bit and 32-Bit Code', 5],
    22: ['Architecture Compatibility', 42],
    23: ['Introduction to Virtual Machine Extensions', 8],
    24: ['Virtual Machine Control Structures', 11],
    25: ['VMX Non-Root Operation', 6],
    26: ['VM Entries', 9],
    27: ['VM Exits', 8],
    28: ['VMX Support for Address Translation', 4],
    29: ['APIC Virtualization and Virtual Interrupts', 6],
    30: ['VMX Instruction Reference', 4],
  },
  'APM vol. 2': {
    1: ['System-Programming Overview', 4],
    2: ['x86 and AMD64 Architecture Differences', 7],
    3: ['System Resources', 3],
    4: ['Segmented Virtual Memory', 12],
    5: ['Page Translation and Protection', 12],
    6: ['System Instructions', 6],
    7: ['Memory System', 10],
    8: ['Exceptions and Interrupts', 10],
    9: ['Machine Check Architecture', 6],
    11: ['SSE, MMX, and x87 Programming', 5],
    12: ['Task Management', 4],
    13: ['Software Debug and Performance Resources', 4],
    14: ['Processor Initialization and Long Mode Activation', 8],
    15: ['Secure Virtual Machine', 36],
    16: ['Advanced Programmable Interrupt Controller', 15],
  },
};

const SECTION = String.raw`\d{1,2}(?:\.\d{1,2}){1,4}`;
const PLACE = String.raw`(?:chapter \d+|appendix [A-Z]|(?:table|figure)s? \d+-\d+|[A-Z](?:\.\d+)+|${SECTION})`;
const LIST = String.raw`${PLACE}(?:(?:, | and |; | to |–)(?:${PLACE}|\d+-\d+))*`;
/** A manual, its volume, and what of it is cited, where that is more than the volume. */
const CITATION = new RegExp(String.raw`\b((?:SDM|APM) vol\. \d)(?:,? (?:the )?(${LIST})(?![\w-]))?`, 'g');
/** Sections without a manual's name: a whole bracket of them, or the field of a check. */
const BARE = new RegExp(String.raw`(?:\((${SECTION}(?:(?:, | and | to )${SECTION})*)\)|section: '(${SECTION})')`, 'g');
/** Whose sections those are, by folder or file. */
const BARE_IN: readonly (readonly [where: RegExp, manual: string])[] = [
  [/^hw\/vmx\/|^isa\/(vmcs-|exit-qualification)/, 'SDM vol. 3'],
  [/^hw\/svm\/|^isa\/(vmcb-|svm-)/, 'APM vol. 2'],
];

interface Citation {
  readonly at: string;
  readonly manual: string;
  readonly text: string;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .map((name) => name.split('\\').join('/'))
  .filter((name) => name.endsWith('.ts'));

function* lines(): Generator<{ readonly file: string; readonly at: string; readonly line: string }> {
  for (const file of files)
    for (const [i, line] of readFileSync(join(SRC, file), 'utf8').split('\n').entries())
      yield { file, at: `src/${file}:${i + 1}`, line };
}

function* citations(): Generator<Citation> {
  for (const { file, at, line } of lines()) {
    for (const [, manual = '', text] of line.matchAll(CITATION)) yield { at, manual, text: text ?? '' };
    const [, manual] = BARE_IN.find(([where]) => where.test(file)) ?? [];
    if (manual !== undefined)
      for (const [, bracket, field] of line.matchAll(BARE)) yield { at, manual, text: bracket ?? field ?? '' };
  }
}

/** What is wrong with a citation; undefined: nothing. */
function problem(manual: string, text: string): string | undefined {
  const volume = Number(/\d$/.exec(manual)?.[0]);
  if (volume < 1 || volume > (manual.startsWith('SDM') ? 4 : 5)) return `there is no ${manual}`;
  const chapters = MANUALS[manual];
  for (const [place] of text.matchAll(new RegExp(PLACE, 'g'))) {
    const [, chapter, section] = /(\d+)(?:[.-](\d+))?/.exec(place) ?? [];
    if (/^appendix|^[A-Z]\./.test(place)) continue;
    if (!chapters) return `${manual} is cited by the names of instructions and MSRs, not by ${place}`;
    const known = chapters[Number(chapter)];
    if (!known) return `chapter ${chapter} of ${manual} is not one that we cite`;
    const [title, last] = known;
    if (/^\d/.test(place) && (Number(section) < 1 || Number(section) > last))
      return `${place}: chapter ${chapter} of ${manual}, "${title}", ends with section ${chapter}.${last}`;
  }
  return undefined;
}

describe('citations of the manuals', () => {
  it('are of chapters and sections that the edition has', () => {
    const wrong = [...citations()].flatMap(({ at, manual, text }) => {
      const why = problem(manual, text);
      return why === undefined ? [] : [`${at}: ${manual}, ${text}: ${why}`];
    });
    assert.deepEqual(wrong, []);
  });

  it('name a volume before a number', () => {
    const wrong = [...lines()]
      .filter(({ line }) => /\b(SDM|APM),? (?!vol\. \d)(\d|chapter|table|section|v(ol)?\.? ?\d)/i.test(line))
      .map(({ at, line }) => `${at}: ${line.trim()}`);
    assert.deepEqual(wrong, []);
  });

  it('are found: the pattern reads every form that we use', () => {
    const all = [...citations()];
    assert.ok(all.filter(({ manual }) => manual === 'SDM vol. 3').length > 200);
    assert.ok(all.filter(({ manual }) => manual === 'APM vol. 2').length > 30);
    const read = (line: string): string[] => [...line.matchAll(CITATION)].map(([whole]) => whole);
    for (const form of [
      'SDM vol. 3, 27.2.1',
      'SDM vol. 3, 4.10.4.1 and 11.9',
      'SDM vol. 3, tables 4-14 to 4-19 and 28-1 to 28-6',
      'SDM vol. 3, appendix B',
      'SDM vol. 3, A.6',
      'APM vol. 2, 15.8 to 15.12',
      'SDM vol. 1, 11.6 and tables 11-2 and 11-3',
    ])
      assert.deepEqual(read(`/** Something (${form}). */`), [form]);
  });

  it('are refused where the edition has no such section', () => {
    assert.equal(problem('SDM vol. 3', '28.3.3.2'), undefined);
    assert.match(problem('SDM vol. 3', '28.5') ?? '', /ends with section 28\.4/);
    assert.match(problem('SDM vol. 3', '4.7 and 31.3') ?? '', /chapter 31 .* not one that we cite/);
    assert.match(problem('SDM vol. 4', '2.1') ?? '', /names of instructions/);
    assert.match(problem('SDM vol. 5', '') ?? '', /there is no SDM vol\. 5/);
  });

  it('have their editions named in CONTRIBUTING', () => {
    const text = readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8');
    assert.match(text, /325462-076US/);
    assert.match(text, /24593, revision 3\.38/);
  });
});
