/**
 * Five levels: EPT where the guest has more than 48 physical address bits (kvm_mmu_get_tdp_level), NPT where the host pages with five (get_npt_level), and the host where its processor has
 * LA57. A walk of n levels over m is n·m + n + m loads: 29 for 4×5, 35 for 5×5.
 */
import * as assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Compare } from '../../src/session/compare/compare';
import { parseMethods } from '../../src/session/compare/methods';
import { prepareProgram } from '../../src/session/launch/program';
import { Guest } from '../vmm/support/guest';
import { open, wait } from '../session/scene';
import { METHODS, METHOD_NAMES, type MethodName } from './support/methods';

const EXAMPLE = readFileSync(new URL('../../examples/five-level.asm', import.meta.url), 'utf8');
const RDX = 2;
const RSI = 6;
const READ = { op: 'read', user: false, implicit: false } as const;
const CPU_LA57: Readonly<Record<MethodName, string>> = {
  ept: 'pagewalk-x64-la57',
  npt: 'pagewalk-svm-la57',
  'shadow:classic': 'pagewalk-x64-la57',
  'shadow:modern': 'pagewalk-x64-la57',
  software: 'pagewalk-x64-la57',
};

function check(method: MethodName, source: string, cpu = CPU_LA57[method]): Guest {
  return new Guest(source, 'flat64', { ...METHODS[method], cpu, memory: 16n << 20n });
}

describe('five levels', () => {
  for (const method of METHOD_NAMES)
    it(`${method}: a GPA above 2^48 keeps its upper bits`, () => {
      // 1 GiB up: a page whose frame is GPA 2^48, where a hole is, and one at 1 MiB
      const guest = check(
        method,
        `mov rax, cr3
        mov rax, [rax]
        and rax, ~0xfff
        mov qword [rax + 8], 0x201003
        mov qword [0x201000], 0x202003
        mov rcx, 0x1000000000003
        mov [0x202000], rcx
        mov qword [0x202008], 0x300003
        mov dword [0x300000], 0x600d
        mov dword [0], 0xabcd1234
        mov rbx, 0x40000000
        mov edx, [rbx]
        mov esi, [rbx + 0x1000]
        hlt`,
      );
      const r = guest.halt();
      assert.deepEqual([r[RDX], r[RSI]], [0xffff_ffffn, 0x600dn]);
    });

  for (const method of ['ept', 'npt'] as const) {
    it(`${method}: 4×5 is 29 loads`, () => {
      const guest = check(method, 'mov rax, [0x200000]\nhlt');
      guest.halt();
      assert.equal(guest.machine.vm.mmu.levels, 5);
      assert.equal(guest.machine.vcpu.probe(0x20_0000n, READ).references, 29);
    });
    it(`${method}: 5×5 is 35 loads, in the example and in \`translate\``, () => {
      const session = open(EXAMPLE, { mmu: method, cpu: CPU_LA57[method] });
      session.run.continue_();
      assert.equal(wait(session).kind, 'ended');
      const translated = session.translate({ space: 'gva', address: 1n << 48n, access: 'r' });
      assert.ok(translated.kind === 'forward');
      assert.equal(translated.chain.references, 35);
      assert.equal(session.tables.list(method)[0]?.level, 5);
      assert.equal(session.tables.list('guest')[0]?.level, 5);
      assert.equal(session.tables.list('host')[0]?.level, 5);
    });
  }

  it('four levels where they reach: 24 loads', () => {
    for (const cpu of ['pagewalk-x64', 'pagewalk-x64-no1g']) {
      const guest = check('ept', 'mov rax, [0x200000]\nhlt', cpu);
      guest.halt();
      assert.equal(guest.machine.vcpu.probe(0x20_0000n, READ).references, 24);
    }
  });
});

function compare(source: string): ReturnType<Compare['run']> {
  const program = prepareProgram({ file: 'g.asm', bytes: new TextEncoder().encode(source), options: new Map() });
  assert.ok(program.ok);
  const methods = parseMethods('ept,npt', 'test');
  assert.ok(methods.ok);
  const run = new Compare(program.value, methods.value);
  for (let i = 0; i < 10_000; i++) {
    const done = run.run(100_000);
    if (done) return done;
  }
  return undefined;
}

describe('a comparison runs a guest on the processor that it is for, or says that it cannot', () => {
  it('five levels: NPT has a counterpart with LA57', () => {
    const c = compare(EXAMPLE);
    assert.deepEqual([c?.methods.map((m) => m.method), c?.refused, c?.differences], [['ept', 'npt'], [], []]);
  });
  it('no 1 GiB pages: no processor with SVM is like it', () => {
    const c = compare('; @guest cpu=pagewalk-x64-no1g\nbits 64\nhlt');
    assert.deepEqual(
      c?.methods.map((m) => m.method),
      ['ept'],
    );
    assert.match(c?.refused[0]?.why ?? '', /PW418: mmu=npt, cpu=pagewalk-x64-no1g: that processor has no SVM/);
  });
});

describe('1 GiB pages', () => {
  const GUEST = `
    mov eax, 0x80000001
    cpuid
    mov esi, edx
    mov rax, cr3
    mov rax, [rax]
    and rax, ~0xfff
    mov qword [rax + 8], 0x83
    lea rax, [rel pf]
    mov [0x2000 + 14 * 16], ax
    mov dword [0x2000 + 14 * 16 + 2], 8
    mov word [0x2000 + 14 * 16 + 5], 0x8e
    shr rax, 16
    mov [0x2000 + 14 * 16 + 6], ax
    lidt [idtr]
    mov dword [0x300000], 0x600d
    mov edx, [0x40300000]
    hlt
  pf: pop rdx
    hlt
  idtr: dw 0xfff
    dq 0x2000`;
  const PAGE1GB = 1n << 26n;
  for (const method of METHOD_NAMES) {
    if (method !== 'npt')
      it(`${method}: a processor without them takes PS in a PDPTE for a reserved bit`, () => {
        const r = check(method, GUEST, 'pagewalk-x64-no1g').halt();
        assert.deepEqual([(r[RSI] ?? 0n) & PAGE1GB, r[RDX]], [0n, 9n]);
      });
    it(`${method}: one with them maps 1 GiB`, () => {
      const r = check(method, GUEST, method === 'npt' ? 'pagewalk-svm' : 'pagewalk-x64').halt();
      assert.deepEqual([(r[RSI] ?? 0n) & PAGE1GB, r[RDX]], [PAGE1GB, 0x600dn]);
    });
  }
});
