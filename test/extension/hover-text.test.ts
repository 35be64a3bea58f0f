import * as assert from 'node:assert/strict';
import type { HoverOperand } from '../../src/protocol/messages';
import type { Translation } from '../../src/protocol/translation';
import { hoverMarkdown, joinedMarkdown } from '../../src/extension/hover-text';

describe('the joined hover', () => {
  it('names a thing once, with its kind, and tells its value once', () =>
    assert.equal(
      joinedMarkdown(
        '**target\\_gva**\n\n`0x5000`\n\n---\n\nchain',
        '**target_gva** constant\n\n`0x5000 = 20480`',
        'operand',
      ),
      '**target_gva** constant\n\n`0x5000`\n\n---\n\nchain',
    ));

  it('keeps a body that the value does not have', () =>
    assert.equal(
      joinedMarkdown('**N** at `0x10`\n\n`4`', '**N** macro\n\n```pagewalk-asm\n%define N 4\n```', 'operand'),
      '**N** macro at `0x10`\n\n`4`\n\n```pagewalk-asm\n%define N 4\n```',
    ));

  it('is the guest’s alone where the two speak of different things', () =>
    assert.equal(joinedMarkdown('**\\[rbx\\]**\n\n`1`', '**rbx** register', 'operand'), '**\\[rbx\\]**\n\n`1`'));

  it('gives on a mnemonic the operands, then the help', () =>
    assert.equal(
      joinedMarkdown('**rbx** `0x1`', '**push** Push', 'instruction'),
      '**rbx** `0x1`\n\n---\n\n**push** Push',
    ));
});

describe('the hover of a stopped guest', () => {
  const chain: Translation = {
    ok: false,
    gva: '0x5000',
    rights: { r: false, w: false, x: false, user: false },
    references: 3,
    tlb: { hit: false, stale: null },
    stages: [],
    failure: { stage: 'guest', level: 2, reason: 'not present', event: '#PF' },
  } as unknown as Translation;
  const operand: HoverOperand = {
    expression: '[rbx]',
    kind: 'memory',
    value: 'cannot be read',
    address: '0x5000',
    translation: chain,
  };

  it('says of a chain that fails what decided, in place of rights that it does not have', () =>
    assert.equal(
      hoverMarkdown({ start: 1, end: 6, about: 'operand', operands: [operand] }, true),
      '**\\[rbx\\]** at `0x5000`\n\n`cannot be read`\n\n---\n\n| | | |\n|---|---|---|\n| GVA | `0x5000` |  |\n\n$(error) **\\#PF**: not present',
    ));

  it('has a line for each operand of an instruction, and one for its chain', () => {
    const rax: HoverOperand = { expression: 'rax', kind: 'register', value: '0x1' };
    const whole: HoverOperand = {
      ...operand,
      value: '0x2',
      translation: { ...chain, ok: true, gpa: '0x6000', failure: undefined } as unknown as Translation,
    };
    assert.equal(
      hoverMarkdown({ start: 1, end: 4, about: 'instruction', operands: [rax, whole] }, true),
      '**rax** `0x1`\n\n**\\[rbx\\]** at `0x5000` `0x2`  \nGVA `0x5000` → GPA `0x6000`',
    );
  });
});
