/** Every word that may follow `; @host` acts, or is refused by its name: what is accepted and does nothing misleads. */
import * as assert from 'node:assert/strict';
import { HOST_WORDS } from '../../src/session/launch/guest-directives';
import { pagewalk } from './support';

const METHODS = [
  [],
  ['--mmu', 'npt'],
  ['--mmu', 'shadow'],
  ['--mmu', 'shadow', '--shadow', 'modern'],
  ['--mmu', 'software'],
];
/** Two pages of the same content; then the line with the directives, and one after it that touches the memory again. */
const guest = (
  options: string,
  directives: readonly string[],
): string => `; @guest start=flat64 host-base=0x40000000 ${options || 'memory=8M'}
bits 64
 mov rbx, 0x400000
 mov dword [rbx], 7
 mov dword [rbx + 0x1000], 7
${directives.map((d) => `; @host ${d}`).join('\n')}
act: nop
after: mov dword [rbx], 8
 hlt
`;

interface Witness {
  /** What stands behind `@host`; the last one is the word that is looked at. */
  readonly lines: readonly string[];
  readonly options?: string;
  /** Where the effect is to be seen; default: where each page is, before the line after it. */
  readonly see?: readonly string[];
  /** The effect, in the words of the outcome, where no page changes its place. */
  readonly outcome?: RegExp;
  /** The same word with arguments that cannot be met, and the refusal. */
  readonly refused: readonly [line: string, why: RegExp];
}
/** A slot that the guest can do without. */
const ADD = 'memslot add 1 0x8000000 1M';
const SECOND = {
  see: ['translate', '--space', 'gpa', '--address', '0x8000000'],
};
const WITNESS: Readonly<Record<string, Witness>> = {
  place: {
    lines: ['place 0x7f5a00400000 0x44000000'],
    refused: [
      'place 0x1234000 0x44000000',
      /nothing is mapped at HVA 0x1234000; the VMM's mappings are 0x7f5a00000000/,
    ],
  },
  'swap-out': { lines: ['swap-out 0x400000'], refused: ['swap-out 0x7000000', /GPA 0x7000000 is in no memslot/] },
  migrate: {
    lines: ['migrate 0x400000 0x44000000'],
    refused: ['migrate 0x400000 0x5000', /there is no host memory at HPA 0x5000/],
  },
  merge: { lines: ['merge 0x400000 0x401000'], refused: ['merge 0x400000 0x100000', /differ|content/] },
  collapse: {
    options: 'memory=8M host-pages=thp',
    lines: ['split 0x400000', 'collapse 0x400000'],
    refused: ['collapse nowhere', /no label `nowhere`/],
  },
  split: { options: 'memory=8M host-pages=thp', lines: ['split 0x400000'], refused: ['split 0x900000', /./] },
  balloon: { lines: ['balloon 0x400000 8K'], refused: ['balloon hpa:0x10', /no page of the VMM lies at HPA 0x10/] },
  deflate: {
    lines: ['balloon 0x400000', 'deflate 0x400000'],
    outcome: /./,
    refused: ['deflate gva:0x80000000', /GVA 0x80000000/],
  },
  'memslot add': {
    lines: ['memslot add 1 0x8000000 1M'],
    see: ['translate', '--space', 'gpa', '--address', '0x8000000'],
    refused: ['memslot add 1 0x100000 1M', /0x100000/],
  },
  'memslot delete': { ...SECOND, lines: [ADD, 'memslot delete 1'], refused: ['memslot delete 7', /7/] },
  'memslot move': {
    ...SECOND,
    lines: [ADD, 'memslot move 1 0x100000000'],
    refused: ['memslot move 7 0x100000000', /7/],
  },
  'memslot remap': {
    ...SECOND,
    lines: [ADD, 'memslot remap 1 0x7f5a00000000'],
    refused: ['memslot remap 0 0x7e0000000001', /./],
  },
  'memslot readonly': {
    lines: ['memslot readonly 0 on'],
    see: ['translate', '--space', 'gpa', '--address', '0x400000'],
    refused: ['memslot readonly 7 on', /7/],
  },
  'memslot log': {
    lines: ['memslot log 0 on', 'memslot dirty 0'],
    outcome: /no page was written/,
    refused: ['memslot log 7 on', /7/],
  },
  'memslot dirty': {
    lines: ['memslot log 0 on', 'memslot dirty 0'],
    outcome: /no page was written/,
    refused: ['memslot dirty 0', /switch logging on first/],
  },
};

interface Outcome {
  readonly text: string;
  readonly ok: boolean;
  readonly outcome: string;
}
async function outcomes(source: string, method: readonly string[]): Promise<readonly Outcome[]> {
  const { stdout, stderr } = await pagewalk(['run', 'g.asm', ...method, '--json'], { 'g.asm': source });
  assert.ok(stdout.startsWith('{'), stderr);
  return (JSON.parse(stdout) as { host: readonly Outcome[] }).host;
}

describe('every word after `; @host`', function () {
  it('has a witness here', () => {
    assert.deepEqual(
      HOST_WORDS.map(({ words }) => words),
      Object.keys(WITNESS),
    );
  });
  for (const { words } of HOST_WORDS) {
    const { lines, options = '', see = ['pagemap'], outcome, refused } = WITNESS[words] as Witness;
    it(`${words} acts, under every method`, async () => {
      for (const method of METHODS) {
        const name = `${words} ${method.join(' ')}`;
        if (outcome) {
          const told = (await outcomes(guest(options, lines), method)).at(-1);
          assert.ok(told?.ok, `${name}: ${told?.outcome}`);
          assert.match(told.outcome, outcome, name);
          continue;
        }
        const shown = async (directives: readonly string[]) => {
          const { stdout, stderr } = await pagewalk(
            [see[0] ?? '', 'g.asm', ...see.slice(1), ...method, '--at', 'after', '--json'],
            {
              'g.asm': guest(options, directives),
            },
          );
          assert.ok(stdout.startsWith('{'), `${name}: ${stderr}`);
          return stdout;
        };
        assert.notEqual(await shown(lines), await shown(lines.slice(0, -1)), name);
      }
    });
    it(`${words} is refused by name where it cannot be done`, async () => {
      const [line, why] = refused;
      const source = guest(options, [line]);
      const [told] = await outcomes(source, []);
      assert.deepEqual([told?.text, told?.ok], [line, false], told?.outcome);
      assert.match(told?.outcome ?? '', why);
    });
  }
  it('place: a page of hugetlbfs cannot have a frame of 4 KiB; one that nobody touches never gets its frame', async () => {
    const placed = guest('memory=8M host-pages=2m', ['place 0x7f5a00400000 0x44000000']);
    const { code, stderr } = await pagewalk(['run', 'g.asm'], { 'g.asm': placed });
    assert.equal(code, 2);
    assert.match(
      stderr,
      /^g\.asm:6:3: error PW403: place 0x7f5a00400000 0x44000000: HVA 0x7f5a00400000 is backed by 2m/,
    );
    const [told] = await outcomes(guest('', ['place 0x7f5a00700000 0x44000000']), []);
    assert.deepEqual([told?.ok, told?.outcome], [false, 'HVA 0x7f5a00700000 was never touched']);
  });
  it('an unknown word, and arguments that are not of its form, are errors at the line', async () => {
    for (const [line, why] of [
      ['swap-in 0x1000', /there is no `host swap-in`; did you mean `swap-out`\?/],
      ['memslot shrink 0', /there is no `memslot shrink`/],
      ...HOST_WORDS.filter(({ words }) => words !== 'place').map(({ words }): [string, RegExp] => [
        `${words} 1 2 3 4 5 6`,
        new RegExp(`is written \`?(host )?${words} `),
      ]),
    ] as const) {
      const { code, stderr } = await pagewalk(['run', 'g.asm'], { 'g.asm': guest('', [line]) });
      assert.equal(code, 2, line);
      assert.match(stderr, /^g\.asm:6:3: error PW301/, line);
      assert.match(stderr, why);
    }
  });
});
