import * as assert from 'node:assert/strict';
import { hoverMarkdown } from '../../src/extension/hover-text';
import type { HoverReply } from '../../src/protocol/messages';
import type { Translation } from '../../src/protocol/translation';

const rights = { r: true, w: true, x: false, user: false };
const translation: Translation = {
  ok: true,
  gva: '0x7f8a3b2a0100',
  gpa: '0x12345100',
  hva: '0x7f5a12345100',
  hpa: '0x1a2b3100',
  rights,
  references: 24,
  tlb: { hit: false, stale: null },
  stages: [
    { stage: 'memslot', who: 'kvm', mode: 'root', from: 'gpa', to: 'hva', slot: 0 },
    { stage: 'ept', who: 'cpu', mode: 'non-root', from: 'gpa', to: 'hpa', steps: [] },
  ],
};
const reply: HoverReply = {
  expression: '[rbx+8]',
  start: 1,
  end: 8,
  kind: 'memory',
  value: '0x2a = 42',
  address: '0x7f8a3b2a0100',
  translation,
};

function check(change: Partial<HoverReply>, pattern: RegExp, withChain = true): void {
  assert.match(hoverMarkdown({ ...reply, ...change }, withChain), pattern);
}

describe('hover text', () => {
  it('shows the value, the operand’s address and the four addresses', () =>
    check(
      {},
      /^\*\*\\\[rbx\\\+8\\\]\*\* at `0x7f8a3b2a0100`\n\n`0x2a = 42`\n\n---[^]*GVA \| `0x7f8a3b2a0100`[^]*GPA \| `0x12345100`[^]*HVA \| `0x7f5a12345100` \| memslot 0[^]*HPA \| `0x1a2b3100`/,
    ));
  it('leaves the chain out where the setting says so', () => assert.ok(!hoverMarkdown(reply, false).includes('GPA')));
  it('says in words what failed', () =>
    check(
      {
        translation: {
          ...translation,
          ok: false,
          failure: {
            stage: 'ept',
            level: 1,
            reason: 'not present',
            event: 'EPT_VIOLATION',
            explanation: 'KVM fills it.',
          },
        },
      },
      /\*\*EPT\\_VIOLATION\*\*: not present {2}\nKVM fills it\\\.$/,
    ));
  it('warns of a stale TLB entry', () =>
    check(
      { translation: { ...translation, tlb: { hit: true, stale: { hpa: '0x5000', missing: 'INVLPG' } } } },
      /still answers `0x5000`, until INVLPG\./,
    ));
  it('lets no Markdown of a guest through', () => {
    check({ expression: '**x**' }, /^\*\*\\\*\\\*x\\\*\\\*\*\*/);
    check({ value: 'a ` b' }, /``a ` b``/);
    check({ value: '[link](command:evil)' }, /`\[link\]\(command:evil\)`/);
  });
});
