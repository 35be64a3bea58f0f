/** Memory accesses, branch targets and alignment: every rule, with an instruction that breaks it. */
import { SEG, descriptor, type Machine } from '../../hw/system/machine';
import { NOT_CANONICAL, check, cr0, cr4, rax } from '../support/exception-reasons';

export function memory(): void {
  const fs = (access: number, limit: number) => ({
    prepare: (m: Machine) => {
      m.entry(0x40, descriptor(access, 0x400, limit, 4));
      m.load(SEG.FS, 0x40);
    },
  });
  check('segment-limit', 'protected', 'mov ax, [fs:0x4a]', 'FS limit 15 is below offset 0x4a', fs(0x93, 15));
  check(
    'segment-limit',
    'protected',
    'mov eax, [fs:0xd]',
    'FS limit 15 is below the end of 4 bytes at offset 0xd',
    fs(0x93, 15),
  );
  check(
    'segment-limit-down',
    'protected',
    'mov eax, [fs:0xffe]',
    'FS expands down: 4 bytes at offset 0xffe are not all above its limit 0xfff',
    fs(0x97, 0xfff),
  );
  check(
    'segment-null',
    'protected',
    'mov eax, [es:0]',
    'ES holds the null selector 0, through which no memory can be accessed',
    {
      prepare: (m) => m.state.setSegment(SEG.ES, { selector: 0, base: 0n, limit: 0, rights: 0x10000 }),
    },
  );
  check(
    'segment-write',
    'protected',
    'mov [fs:0], al',
    'FS holds a read-only data segment, which cannot be written',
    fs(0x91, 0xff),
  );
  check(
    'segment-read',
    'protected',
    'mov al, [fs:0]',
    'FS holds an execute-only code segment, which cannot be read',
    fs(0x99, 0xff),
  );
  check(
    'address-canonical',
    'long',
    'lgdt [rax]',
    'the address 0x800000000000 is not canonical: bits 63:47 are not all the same',
    { prepare: (m) => rax(m, NOT_CANONICAL) },
  );
  check('target-limit', 'real', 'jmp eax', 'the target 0x10000 is beyond the CS limit 0xffff', {
    prepare: (m) => rax(m, 0x1_0000n),
  });
  check(
    'target-canonical',
    'long',
    'jmp rax',
    'the target 0x800000000000 is not canonical: bits 63:47 are not all the same',
    { prepare: (m) => rax(m, NOT_CANONICAL) },
  );
  check(
    'alignment',
    'protected',
    'mov eax, [0x4001]',
    '4 bytes at 0x4001 are not aligned, and CR0.AM and RFLAGS.AC check alignment at CPL 3',
    {
      cpl3: true,
      prepare: (m) => {
        cr0(m, 1n << 18n);
        m.state.rflags |= 1n << 18n;
      },
    },
  );
  check('operand-alignment', 'long', 'movaps xmm0, [0x4008]', 'the operand at 0x4008 must be aligned to 16 bytes', {
    prepare: (m) => cr4(m, 0x200n),
  });
  check('operand-alignment', 'long', 'cmpxchg16b [0x4008]', 'the operand at 0x4008 must be aligned to 16 bytes');
  check('operand-alignment', 'long', 'fxsave [0x4008]', 'the operand at 0x4008 must be aligned to 16 bytes');
  check('instruction-length', 'long', 'times 15 db 0x66\nnop', 'the instruction is longer than 15 bytes');
}
