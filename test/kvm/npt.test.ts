/** KVM on SVM with nested paging: error codes of #NPF, MMIO, and a VMRUN whose checks fail. */
import * as assert from 'node:assert/strict';
import { Guest } from '../vmm/support/guest';

const NPT = { mmu: 'npt', cpu: 'pagewalk-svm' } as const;
const faults = (g: Guest): readonly (readonly [gpa: string, code: string])[] =>
  g.machine.exits
    .recent(100)
    .filter((e) => e.name === 'NPF')
    .map((e) => [`0x${e.gpa?.toString(16)}`, `0x${e.qualification.toString(16)}`]);

describe('mmu=npt', () => {
  it('tells guest table walks, which are writes of a user, from final accesses (APM vol. 2, 15.25.6)', () => {
    const g = new Guest('mov rax, [0x300000]\nmov [0x301000], rax\nhlt', 'flat64', NPT);
    g.halt();
    const codes = faults(g);
    // bit 33: PML4, PDPT, PD and PT of the first fetch; W and U, never P while nothing is mapped
    assert.deepEqual(
      codes.slice(0, 4).map(([, code]) => code),
      Array(4).fill('0x200000006'),
    );
    // bit 32: the fetch itself (I/D), then a table entry for the data and the read and the write
    assert.deepEqual(codes[4], ['0x100000', '0x100000014']);
    assert.deepEqual(
      codes.slice(5).filter(([at]) => at === '0x300000'),
      [['0x300000', '0x100000004']],
    );
    assert.deepEqual(
      codes.slice(5).filter(([at]) => at === '0x301000'),
      [['0x301000', '0x100000006']],
    );
  });

  it('names the checks of VMRUN that do not hold', () => {
    const g = new Guest('hlt', 'flat64', NPT);
    const { ops } = g.machine.vcpu.context;
    assert.equal(ops.name, 'svm');
    ops.setEfer(1n << 20n);
    const end = g.end();
    assert.match(end.why, /EFER: reserved bits of EFER are 0 \(APM vol\. 2, 15\.5\.1\)/);
  });
});
