/** Events that could not be delivered: the guest's own, with address, access, place and CPL, whoever delivers them (SDM vol. 3, 6.15, table 6-5). */
import * as assert from 'node:assert/strict';
import type { ChainEvent } from '../../src/hw/cpu/event-chain';
import { vectorName } from '../../src/isa/exceptions';
import type { MachineOptions, StartKind } from '../../src/vmm/options';
import { Guest } from './support/guest';

const METHODS: readonly { readonly name: string; readonly options: Partial<MachineOptions> }[] = [
  { name: 'ept', options: { mmu: 'ept' } },
  { name: 'npt', options: { mmu: 'npt', cpu: 'pagewalk-svm' } },
  { name: 'classic shadow', options: { mmu: 'shadow', shadow: 'classic', hostBase: 0x4000_0000n } },
  { name: 'modern shadow', options: { mmu: 'shadow', shadow: 'modern', hostBase: 0x4000_0000n } },
  { name: 'software', options: { mmu: 'software' } },
];

const shown = ({ event: e, rip, cpl }: ChainEvent, symbols: ReadonlyMap<string, bigint>): string => {
  const at = [...symbols].find(([, value]) => value === rip)?.[0] ?? rip.toString(16);
  const where = e.kind === 'fault' && e.cr2 !== undefined ? ` ${e.access} ${e.cr2.toString(16)}` : '';
  const code = e.kind === 'fault' && e.errorCode !== undefined ? `(${e.errorCode.toString(16)})` : '';
  return `${vectorName(e.vector)}${code}${where} at ${at} CPL ${cpl}`;
};

function check(source: string, expected: readonly string[], start: StartKind = 'flat64'): void {
  for (const { name, options } of METHODS) {
    const g = new Guest(source, start, options);
    const end = g.end();
    assert.equal(end.kind, 'triple-fault', `${name}: ${end.why}`);
    assert.deepEqual(
      g.machine.accelerator.cpu.chain.events.map((e) => shown(e, g.symbols)),
      expected,
      name,
    );
  }
}

/** rdi: the page-directory entry of the 2 MiB at 0x200000 of the prepared tables, without a handler for anything. */
const UNMAP_AND_LOAD_IDT = `
  lidt [idtr]
  mov rax, cr3
  mov rbx, 0x000ffffffffff000
  mov rax, [rax]
  and rax, rbx
  mov rax, [rax]
  and rax, rbx
  mov qword [rax + 8], 0
  invlpg [0x200000]
`;

describe('what could not be delivered', () => {
  it('a read without a handler', () =>
    check(
      `mov rax, 0x80000000
       here: mov rbx, [rax + 0x123]
       hlt`,
      ['#PF(0) read 80000123 at here CPL 0', '#GP(73) at here CPL 0', '#DF(0) at here CPL 0', '#GP(43) at here CPL 0'],
    ));

  it('a fetch is a fetch, although without NXE and SMEP the error code says nothing of it', () =>
    check(
      'mov eax, 0x80000ff0\njmp eax',
      [
        '#PF(0) fetch 80000ff0 at 80000ff0 CPL 0',
        '#GP(73) at 80000ff0 CPL 0',
        '#DF(0) at 80000ff0 CPL 0',
        '#GP(43) at 80000ff0 CPL 0',
      ],
      'flat32',
    ));

  it('an IDT whose page is gone: every gate is a #PF of its own', () =>
    check(
      `${UNMAP_AND_LOAD_IDT}
       mov ebx, 0x80000ff8
       here: mov [rbx], eax
       hlt
       idtr: dw 0xfff
       dq 0x200000`,
      [
        '#PF(2) write 80000ff8 at here CPL 0',
        '#PF(0) read 2000e0 at here CPL 0',
        '#DF(0) at here CPL 0',
        '#PF(0) read 200080 at here CPL 0',
      ],
    ));

  it('INT n whose gate is not mapped: #PF takes its place, and only the next one makes #DF', () =>
    check(
      `${UNMAP_AND_LOAD_IDT}
       here: int 0x30
       hlt
       idtr: dw 0xfff
       dq 0x200000`,
      [
        'INT 0x30 at here CPL 0',
        '#PF(0) read 200300 at here CPL 0',
        '#PF(0) read 2000e0 at here CPL 0',
        '#DF(0) at here CPL 0',
        '#PF(0) read 200080 at here CPL 0',
      ],
    ));

  it('an exception that KVM intercepts and gives back: #UD', () =>
    check('here: ud2', [
      '#UD at here CPL 0',
      '#GP(33) at here CPL 0',
      '#GP(6b) at here CPL 0',
      '#DF(0) at here CPL 0',
      '#GP(43) at here CPL 0',
    ]));

  it('a stack that is gone, met by the delivery', () =>
    check(
      `${UNMAP_AND_LOAD_IDT}
       lea rax, [handler]
       mov rbx, 0x400000
       mov word [rbx + 14*16], ax
       mov word [rbx + 14*16 + 2], 8
       mov word [rbx + 14*16 + 4], 0x8e00
       shr rax, 16
       mov word [rbx + 14*16 + 6], ax
       mov rsp, 0x200100
       mov rbx, 0x80000000
       here: mov rax, [rbx]
       handler: hlt
       idtr: dw 14*16 + 15
       dq 0x400000`,
      [
        '#PF(0) read 80000000 at here CPL 0',
        '#PF(2) write 2000f8 at here CPL 0',
        '#DF(0) at here CPL 0',
        '#GP(43) at here CPL 0',
      ],
    ));

  it('in real mode, where KVM delivers by hand under shadow paging', () =>
    check(
      `lidt [idtr]
       here: ud2
       idtr: dw 3
       dd 0`,
      ['#UD at here CPL 0', '#GP at here CPL 0', '#GP at here CPL 0', '#DF(0) at here CPL 0', '#GP at here CPL 0'],
      'flat16',
    ));
});

describe('events delivered one after the other', () => {
  it('a #PF met by INT n is delivered, and INT n runs again after its handler (table 6-5: benign, then #PF)', () => {
    for (const { name, options } of METHODS) {
      // vectors 0 to 31 lie in one page, 0x30 in the next, which is not mapped yet
      const g = new Guest(
        `mov rax, cr3
         mov rbx, 0x000ffffffffff000
         mov rax, [rax]
         and rax, rbx
         mov rdi, [rax]
         and rdi, rbx
         mov rbx, 0x400000 - 0x200
         lea rax, [page_fault]
         mov [rbx + 14*16], ax
         mov word [rbx + 14*16 + 2], 8
         mov word [rbx + 14*16 + 4], 0x8e00
         shr rax, 16
         mov [rbx + 14*16 + 6], ax
         lea rax, [handler]
         mov [rbx + 0x30*16], ax
         mov word [rbx + 0x30*16 + 2], 8
         mov word [rbx + 0x30*16 + 4], 0x8e00
         shr rax, 16
         mov [rbx + 0x30*16 + 6], ax
         lidt [idtr]
         mov rsi, [rdi + 16]
         mov qword [rdi + 16], 0
         invlpg [0x400000]
         xor edx, edx
         here: int 0x30
         hlt
         page_fault:
         inc edx
         mov rcx, cr2
         mov rbp, [rsp + 8]
         mov [rdi + 16], rsi
         add rsp, 8
         iretq
         handler: hlt
         idtr: dw 0xfff
         dq 0x400000 - 0x200`,
        'flat64',
        options,
      );
      const r = g.halt();
      assert.deepEqual([r[2], r[1], r[5]], [1n, 0x400100n, g.symbols.get('here')], name);
      assert.equal(g.machine.accelerator.registers().rip, (g.symbols.get('handler') ?? 0n) + 1n, name);
      assert.deepEqual(g.machine.accelerator.cpu.chain.events, [], name);
    }
  });
});
