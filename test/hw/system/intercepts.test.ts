import assert from 'node:assert/strict';
import { VMX_EXIT, vmxExitName } from '../../../src/isa/exits';
import type { Intercepts } from '../../../src/hw/state/intercepts';
import { Machine, SLOT, TSS, type Mode } from './machine';

/** A guest mode that exits on everything and notes what it was asked. */
class Everything implements Intercepts {
  readonly asked: string[] = [];
  /** Exit reasons of instructions that no control enables. */
  undefinedReasons: readonly number[] = [];
  isUndefined: Intercepts['isUndefined'] = (reason) => this.undefinedReasons.includes(reason);
  private note(what: string, reason: number): { readonly reason: number; readonly qualification: bigint } {
    this.asked.push(what);
    return { reason, qualification: 0n };
  }
  instruction: Intercepts['instruction'] = (_c, reason, qualification, info) =>
    this.note(
      `${vmxExitName(reason)} ${qualification.toString(16)}${info === undefined ? '' : ` info=${info.toString(16)}`}`,
      reason,
    );
  controlRegister: Intercepts['controlRegister'] = (_c, a) =>
    this.note(`${a.type} cr${a.cr} gpr=${a.gpr} ${a.value.toString(16)}`, 28);
  readControl: Intercepts['readControl'] = () => 0n;
  writeControl: Intercepts['writeControl'] = (_c, _cr, value) => value;
  debugRegister: Intercepts['debugRegister'] = (_c, a) => this.note(`dr${a.dr} write=${a.write}`, 29);
  io: Intercepts['io'] = (_c, a) =>
    this.note(
      `${a.write ? 'out' : 'in'} ${a.port.toString(16)}/${a.size} imm=${a.immediate}${a.string ? ` rep=${a.rep} at=${a.linear?.toString(16)} info=${a.info?.toString(16)}` : ''}`,
      30,
    );
  msr: Intercepts['msr'] = (_c, index, write) => this.note(`${write ? 'wrmsr' : 'rdmsr'} ${index.toString(16)}`, 31);
  descriptorTable: Intercepts['descriptorTable'] = (_c, reason, info, displacement) =>
    this.note(`${vmxExitName(reason)} info=${info.toString(16)} disp=${displacement.toString(16)}`, reason);
  taskSwitch: Intercepts['taskSwitch'] = (_c, selector, source) =>
    this.note(`task ${selector.toString(16)} ${source}`, 9);
  exception: Intercepts['exception'] = () => undefined;
}

function check(
  mode: Mode,
  source: string,
  expected: string,
  asked: string | undefined,
  prepare?: (m: Machine) => void,
): void {
  const m = new Machine(mode);
  const all = new Everything();
  m.core.intercepts = all;
  prepare?.(m);
  assert.equal(m.run(source), expected, source);
  assert.equal(all.asked[0], asked, source);
  assert.equal(m.state.rip, 0x8000n);
}

describe('what an intercept is asked, and when (SDM vol. 3, 25.1.1 and 27.2.1)', () => {
  const user = (m: Machine): void => void m.setLevel(3);
  it('privilege comes before the exit', () => {
    for (const source of [
      'hlt',
      'mov cr3, rax',
      'mov rax, dr0',
      'rdmsr',
      'invlpg [rax]',
      'lgdt [rax]',
      'clts',
      'wbinvd',
    ])
      check('long', source, '#GP(0)', undefined, user);
    check('long', 'in al, 0x60', '#GP(0)', undefined, (m) => {
      user(m);
      m.write(TSS + 0x66, 2, 0xffffn); // no I/O map
    });
    check('long', 'mov cr4, rax', 'exit 28', 'write cr4 gpr=0 ffffffff', (m) => m.state.set(0, 0xffff_ffffn)); // before the check of the value
    check('long', 'cpuid', 'exit 10', 'CPUID 0', user);
    check('long', 'rdtsc', 'exit 16', 'RDTSC 0', user);
    check('long', 'vmcall', 'exit 18', 'VMCALL 0', user);
  });
  it('an instruction that no control enables is #UD before all else', () => {
    const m = new Machine('long').setLevel(3);
    const all = new Everything();
    all.undefinedReasons = [VMX_EXIT.RDTSCP, VMX_EXIT.INVPCID];
    m.core.intercepts = all;
    assert.equal(m.run('rdtscp'), '#UD');
    assert.equal(m.run('invpcid rax, [rbx]'), '#UD');
  });
  it('registers and values', () => {
    check('long', 'mov cr3, rbx', 'exit 28', 'write cr3 gpr=3 5000', (m) => m.state.set(3, 0x5000n));
    check('long', 'mov r9, cr8', 'exit 28', 'read cr8 gpr=9 0');
    check('long', 'lmsw cx', 'exit 28', 'lmsw cr0 gpr=0 7', (m) => {
      m.state.set(1, 7n);
    });
    check('long', 'wrmsr', 'exit 31', 'wrmsr c0000080', (m) => m.state.set(1, 0xc000_0080n));
  });
  it('I/O, with the string forms’ address and instruction information', () => {
    check('long', 'out 0x80, al', 'exit 30', 'out 80/1 imm=true');
    check('long', 'rep outsw', 'exit 30', 'out 3f8/2 imm=false rep=true at=5000 info=18100', (m) => {
      m.state.set(1, 4n);
      m.state.set(2, 0x3f8n);
      m.state.set(6, 0x5000n);
    });
    check('protected', 'insb', 'exit 30', 'in 3f8/1 imm=false rep=false at=6000 info=80', (m) => {
      m.state.set(2, 0x3f8n);
      m.state.set(7, 0x6000n);
    });
  });
  it('instruction information of table 27-10 to 27-13', () => {
    // scale 8, 64-bit address, DS, index RCX, base RAX, identity LGDT
    check(
      'long',
      'lgdt [rax+rcx*8+0x10]',
      'exit 46',
      `GDTR_IDTR info=${((2 << 28) | (1 << 18) | (3 << 15) | (1 << 11) | (2 << 7) | 3).toString(16)} disp=10`,
    );
    check('long', 'ltr bx', 'exit 47', `LDTR_TR info=${((3 << 28) | (1 << 10) | (3 << 3)).toString(16)} disp=0`);
    check(
      'long',
      'invpcid rdx, [rbx-8]',
      'exit 58',
      `INVPCID fffffffffffffff8 info=${((2 << 28) | (3 << 23) | (1 << 22) | (3 << 15) | (2 << 7)).toString(16)}`,
    );
    check(
      'long',
      'vmread [rbx], rdx',
      'exit 23',
      `VMREAD 0 info=${((2 << 28) | (3 << 23) | (1 << 22) | (3 << 15) | (2 << 7)).toString(16)}`,
    );
    check(
      'long',
      'lidt [rel 0x9000]',
      'exit 46',
      `GDTR_IDTR info=${((3 << 28) | (1 << 27) | (1 << 22) | (3 << 15) | (1 << 11) | (2 << 7)).toString(16)} disp=9000`,
    );
  });
  it('a task switch exits before the old task changes', () => {
    check('protected', 'jmp 0x40:0', 'exit 9', 'task 40 jmp', (m) => m.entry(0x40, 0x0000_8900_5000_0067n));
  });
});

describe('guest time (SDM vol. 2, RDTSC)', () => {
  it('is the same whether instructions run in one block or one at a time', () => {
    const times: bigint[] = [];
    for (const step of [true, false]) {
      const m = new Machine('long');
      m.flat.port.bytes.set([0x90, 0x90, 0x90, 0x0f, 0x31], 0x8000);
      m.state.set(SLOT.RETIRED, 100n);
      if (step) {
        for (let i = 0; i < 4; i++) {
          m.flat.step();
          m.state.set(SLOT.RETIRED, 101n + BigInt(i));
        }
      } else m.flat.run();
      times.push(m.state.get(0));
    }
    assert.deepEqual(times, [103n, 103n]);
  });
});
