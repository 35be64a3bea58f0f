/**
 * Segment checks (SDM vol. 3, 5.3 and 5.5) come out the same whoever executes: under shadow paging without unrestricted guest, KVM's emulator runs real-mode code and code between modes
 * (`__linearize` and `__do_insn_fetch_bytes` of arch/x86/kvm/emulate.c).
 */
import * as assert from 'node:assert/strict';
import type { MachineOptions } from '../../src/vmm/options';
import { Guest } from './support/guest';

const METHODS: readonly Partial<MachineOptions>[] = [
  { mmu: 'ept' },
  { mmu: 'npt', cpu: 'pagewalk-svm' },
  { mmu: 'shadow', shadow: 'classic', hostBase: 0x4000_0000n },
  { mmu: 'shadow', shadow: 'modern', hostBase: 0x4000_0000n },
  { mmu: 'software' },
];

/** Registers at the HLT of the handler: SI the vector, BX the IP that was pushed. */
function run(source: string): readonly (readonly [vector: number, ip: number])[] {
  return METHODS.map((options) => {
    const r = new Guest(source, 'flat16', { memory: 1n << 20n, hostMemory: 1 << 24, ...options }).halt();
    return [Number((r[6] ?? 0n) & 0xffffn), Number((r[3] ?? 0n) & 0xffffn)];
  });
}

const HANDLED = [6, 12, 13];
const HANDLERS = HANDLED.map((n) => `v${n}: mov si, ${n}\n pop bx\n hlt`).join('\n');

/** Real mode; `code` goes on from 0000:7C00 with ES = DS = SS = 0. DX is 0x3000, a paragraph with room. Without an exception SI is 0. */
function real(code: string): readonly (readonly [number, number])[] {
  return run(`
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7000
    ${HANDLED.map((n) => `mov word [${n * 4}], v${n}\n mov word [${n * 4 + 2}], 0`).join('\n')}
    xor si, si
    mov dx, 0x3000
    ${code}
    hlt
    ${HANDLERS}`);
}
/** Bytes at 3000:`offset`, then a jump there. */
const at = (offset: number, bytes: readonly number[]): string => `
    mov es, dx
    ${bytes.map((b, i) => `mov byte [es:${(offset + i) & 0xffff}], ${b}`).join('\n')}
    jmp 0x3000:${offset}`;

function check(outcome: readonly (readonly [number, number])[], vector: number, ip?: number): void {
  for (const [i, got] of outcome.entries())
    assert.deepEqual(
      ip === undefined ? [got[0]] : got,
      ip === undefined ? [vector] : [vector, ip],
      `${METHODS[i]?.mmu} ${METHODS[i]?.shadow ?? ''}`,
    );
}

const NOP = 0x90;
describe('real mode: the limit of 64 KiB', () => {
  it('code that runs on past FFFFh: #GP at 10000h', () => check(real(at(0xfffe, [NOP, NOP])), 13, 0));
  it('an instruction that ends at FFFFh is the last', () => check(real(at(0xfffe, [0x31, 0xc0])), 13, 0));
  it('an instruction of two bytes at FFFFh: #GP, and it did not run', () =>
    check(real(`mov cx, 1\n${at(0xffff, [0x31])}`), 13, 0xffff));
  it('an instruction of five bytes at FFFDh', () => check(real(at(0xfffd, [0x66, 0xb8, 0])), 13, 0xfffd));
  it('an invalid opcode before the limit is #UD', () => check(real(at(0xfffe, [0x0f, 0x0b])), 6, 0xfffe));
  it('HLT at FFFFh halts', () => check(real(at(0xffff, [0xf4])), 0));
  it('a near jump to 10000h', () => check(real('o32 jmp dword 0x10000'), 13));
  it('a word of data at FFFFh', () => check(real('mov di, 0xffff\nmov ax, [di]'), 13));
  it('a dword of data at FFFDh, written', () => check(real('mov di, 0xfffd\nmov [di], eax'), 13));
  it('a byte at FFFFh is inside', () => check(real('mov di, 0xffff\nmov al, [di]'), 0));
  it('an offset of 32 bits beyond', () => check(real('mov edi, 0x10000\nmov al, [edi]'), 13));
  it('a word at SS:FFFFh: #SS(0), which real mode delivers without an error code', () =>
    check(real('mov bp, 0xffff\nmov ax, [bp]\n'), 12));
  it('a string instruction whose destination crosses', () => check(real('mov di, 0xffff\nstosw'), 13));
  it('an instruction longer than 15 bytes', () => check(real(`${'db 0x3e\n'.repeat(15)}nop`), 13));
  it('an instruction of 15 bytes', () => check(real(`${'db 0x3e\n'.repeat(14)}nop`), 0));
});

/**
 * Protected mode with a CS whose RPL is 3 and whose DPL is 0, as real mode left it: VM entry without unrestricted guest refuses that, so that the emulator runs it. Data segments: 08 up to
 * FFFh, 10 expand-down above FFFh, 18 read-only, 20 execute-only, 28 readable code, 30 16-bit code at 0 for the handlers, 38 expand-down with B.
 */
function between(code: string): readonly (readonly [number, number])[] {
  return run(`
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7000
    xor si, si
    cli
    lgdt [gdtr]
    lidt [idtr]
    jmp 0x0003:here - 0x30
  here:
    mov eax, cr0
    or al, 1
    mov cr0, eax
    ${code}
    hlt
    ; an error code lies below the IP
    ${HANDLED.map((n) => `v${n}: mov si, ${n}\n ${n === 6 ? '' : 'pop bx'}\n pop bx\n hlt`).join('\n')}
    align 8
  gdt: dq 0
    dq 0x0000920000000fff
    dq 0x0000960000000fff
    dq 0x000090000000ffff
    dq 0x000098000000ffff
    dq 0x00009a000000ffff
    dq 0x00009a000000ffff
    dq 0x0040960000000fff
  gdtr: dw gdtr - gdt - 1
    dd gdt
  idt: ${Array.from({ length: 14 }, (_, n) => (HANDLED.includes(n) ? `dw v${n}, 0x30, 0x8600, 0` : 'dq 0')).join('\n')}
  idtr: dw idtr - idt - 1
    dd idt`);
}

describe('protected mode that VM entry does not take: type and limit of segments', () => {
  const load = (selector: number, access: string): string => `mov ax, ${selector}\nmov es, ax\n${access}`;
  const cases: readonly (readonly [what: string, code: string, vector: number])[] = [
    ['the last word inside the limit', load(0x08, 'mov ax, [es:0xffe]'), 0],
    ['a word across it', load(0x08, 'mov ax, [es:0xfff]'), 13],
    ['expand-down: at the limit', load(0x10, 'mov al, [es:0xfff]'), 13],
    ['expand-down: above it', load(0x10, 'mov al, [es:0x1000]'), 0],
    ['expand-down without B ends at FFFFh', load(0x10, 'mov di, 0xffff\nmov ax, [es:di]'), 13],
    ['expand-down with B does not', load(0x38, 'mov di, 0xffff\nmov ax, [es:di]'), 0],
    ['a write to a read-only segment', load(0x18, 'mov [es:0x500], al'), 13],
    ['a read of it', load(0x18, 'mov al, [es:0x500]'), 0],
    ['a read-modify-write of it', load(0x18, 'inc byte [es:0x500]'), 13],
    ['a read of readable code', load(0x28, 'mov al, [es:0x500]'), 0],
    ['a write to it', load(0x28, 'mov [es:0x500], al'), 13],
    ['a load of execute-only code', load(0x20, ''), 13],
    ['a null segment', load(0, 'mov al, [es:0x500]'), 13],
    ['a selector beyond the GDT', load(0x40, ''), 13],
    ['a null SS', 'xor ax, ax\nmov ss, ax', 13],
    ['an SS with a limit: #SS', 'mov ax, 0x08\nmov ss, ax\nmov sp, 0x800\nmov bp, 0xfff\nmov ax, [bp]', 12],
  ];
  for (const [what, code, vector] of cases) it(what, () => check(between(code), vector));
});
