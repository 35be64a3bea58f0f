/** Each way a guest can start, by a guest that tells over the debug console where it finds itself. */
import * as assert from 'node:assert/strict';
import { pagewalk } from './support';

async function check(
  source: string | Uint8Array,
  debugcon: string,
  registers: Readonly<Record<string, string>> = {},
  file = 'g.asm',
): Promise<void> {
  const r = await pagewalk(['run', file, '--json'], { [file]: source });
  assert.equal(r.stderr, '');
  const report = JSON.parse(r.stdout) as {
    readonly debugcon: string;
    readonly registers: Readonly<Record<string, string>>;
    readonly stop: unknown;
  };
  assert.equal(report.debugcon, debugcon, JSON.stringify(report.stop));
  for (const [name, value] of Object.entries(registers)) assert.equal(report.registers[name], value, name);
  assert.equal(r.code, 0);
}

const SAY = "mov al, 'x'\nout 0xe9, al\nhlt\n";

/** A minimal ELF executable of one loadable segment (ELF-64 and ELF-32 object file formats, file header and program header). */
function elf(bits: 32 | 64, code: readonly number[], at: number): Uint8Array {
  const header = bits === 64 ? 64 : 52;
  const programHeader = bits === 64 ? 56 : 32;
  const start = header + programHeader;
  const file = new Uint8Array(start + code.length);
  const v = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, bits === 64 ? 2 : 1, 1, 1]);
  v.setUint16(16, 2, true);
  v.setUint16(18, bits === 64 ? 62 : 3, true);
  v.setUint32(20, 1, true);
  v.setUint32(24, at, true);
  v.setUint32(bits === 64 ? 32 : 28, header, true);
  const sizes = bits === 64 ? 52 : 40;
  v.setUint16(sizes, header, true);
  v.setUint16(sizes + 2, programHeader, true);
  v.setUint16(sizes + 4, 1, true);
  const p = header;
  v.setUint32(p, 1, true);
  const put = (offset64: number, offset32: number, value: number): void =>
    v.setUint32(p + (bits === 64 ? offset64 : offset32), value, true);
  put(8, 4, start);
  put(16, 8, at);
  put(24, 12, at);
  put(32, 16, code.length);
  put(40, 20, code.length);
  put(4, 24, 5);
  file.set(code, start);
  return file;
}

describe('starts', () => {
  it('flat16: real mode, all segments 0, SP 0x7000', () =>
    check(SAY, 'x', { rsp: '0x7000', cr0: '0x60000010', cr3: '0x0' }));
  it('boot: a sector at 0x7c00 with the drive in DL', () =>
    check(`${SAY}times 510-($-$$) db 0\ndw 0xaa55`, 'x', { rdx: '0x80', rsp: '0x7c00', rip: '0x7c05' }));
  it('flat32: 32-bit paging', () => check(`bits 32\n${SAY}`, 'x', { rsp: '0x80000', rip: '0x100005', cr4: '0x0' }));
  it('flat64: long mode with NX', () =>
    check(`bits 64\n${SAY}`, 'x', { rsp: '0x80000', rip: '0x100005', efer: '0xd00' }));
  it('elf of either class, in its mode', async () => {
    const code = [0xb0, 0x78, 0xe6, 0xe9, 0xf4];
    await check(elf(64, code, 0x20_0000), 'x', { rip: '0x200005', efer: '0xd00' }, 'kernel');
    await check(elf(32, code, 0x20_0000), 'x', { rip: '0x200005', efer: '0x0' }, 'kernel');
  });
  it('a raw image', () => check(Uint8Array.of(0xb0, 0x78, 0xe6, 0xe9, 0xf4), 'x', { rip: '0x7c05' }, 'x.bin'));
  it('an ELF file cut short is refused', async () => {
    for (const length of [4, 20, 63, 70, 120]) {
      const r = await pagewalk(['run', 'kernel'], { kernel: elf(64, [0xf4], 0x20_0000).subarray(0, length) });
      assert.deepEqual([r.code, r.stdout], [2, ''], String(length));
      assert.match(r.stderr, /^kernel: error PW41\d: /);
    }
  });
  it('real mode to protected mode to long mode, by the guest itself', () =>
    check(
      `bits 16
        cli
        lgdt    [gdtr]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     8:protected
bits 32
protected:
        mov     ax, 16
        mov     ds, ax
        mov     al, 'p'
        out     0xe9, al
        mov     dword [0x10000], 0x11003
        mov     dword [0x11000], 0x12003
        mov     dword [0x12000], 0x83
        mov     eax, 0x20
        mov     cr4, eax
        mov     eax, 0x10000
        mov     cr3, eax
        mov     ecx, 0xc0000080
        rdmsr
        or      eax, 0x100
        wrmsr
        mov     eax, cr0
        or      eax, 0x80000000
        mov     cr0, eax
        jmp     24:long_mode
bits 64
long_mode:
        mov     al, 'l'
        out     0xe9, al
        mov     r8, 0x123456789
        hlt
align 8
gdt:    dq      0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00af9a000000ffff
gdtr:   dw      31
        dd      gdt
`,
      'pl',
      { r8: '0x123456789', efer: '0x500' },
    ));
});
