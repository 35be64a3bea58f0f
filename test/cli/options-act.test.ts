/** Every key of the table of options acts, or is refused by its name: what is accepted and does nothing misleads. */
import * as assert from 'node:assert/strict';
import { OPTION_KEYS, optionSpec } from '../../src/session/launch/option-table';
import type { OptionKey } from '../../src/session/launch/option-table';
import { pagewalk } from './support';

const GUEST = `bits 64
 mov rax, [0x200000]
 mov rcx, 0x2000000
 mov [rcx], rax
 mov al, 'x'
 out 0xe9, al
 mov dx, 0x3f8
 out dx, al
 mov eax, 5
 out 0xe0, eax
 in eax, 0xe0
 mov esi, eax
%ifdef N
 nop
%endif
 mov rax, cr3
 mov cr3, rax
 mov rax, [0x200000]
 mov eax, 7
 cpuid
 hlt
`;
const MULTIBOOT = `bits 32
org 0x100000
header: dd 0x1badb002, 0x10000, -(0x1badb002 + 0x10000), header, header, 0, 0, start
start: mov ecx, [ebx+16]
 mov edx, [ebx+20]
 mov edi, [ecx+6]
 hlt
`;
/** Touches more pages than a host of 1 MiB has. */
const HUNGRY = `bits 64
 mov ecx, 1000
 mov rbx, 0x200000
next: mov [rbx], rcx
 add rbx, 4096
 dec ecx
 jnz next
 hlt
`;
const FILES = {
  'g.asm': GUEST,
  'i.asm': `%include "n.inc"\n${GUEST}`,
  'lib/n.inc': '%define N 1\n',
  'w.asm': 'bits 64\n hlt\n lone\n',
  'mb.asm': MULTIBOOT,
  'hungry.asm': HUNGRY,
  'real.asm': 'bits 16\n hlt\n',
  'rom.bin': new Uint8Array(65536).fill(0xf4),
};

/** Arguments that show the effect of a key, its values in the place of `@`; and the values. */
const WITNESS: Readonly<Record<OptionKey, { readonly args?: readonly string[]; readonly values: readonly string[] }>> =
  {
    mmu: { values: ['npt', 'shadow', 'software'] },
    shadow: { args: ['run', 'g.asm', '--mmu', 'shadow'], values: ['modern'] },
    start: { values: ['flat32'] },
    memory: { values: ['40M'] },
    slot: { args: ['translate', 'g.asm', '--address', '0x2000000', '--slot', '0x0+32M'], values: ['0x2000000+32M'] },
    cpus: { values: ['2'] },
    cpu: { values: ['pagewalk-x64-la57'] },
    device: { values: ['pc-testdev'] },
    tlb: { values: ['off'] },
    'walk-caches': { values: ['on'] },
    'ept-ad': { args: ['translate', 'g.asm', '--address', '0x200000'], values: ['off'] },
    vpid: { values: ['off'] },
    'host-memory': { args: ['run', 'hungry.asm'], values: ['1M'] },
    'host-swap': { args: ['run', 'hungry.asm', '--host-memory', '1M'], values: ['0'] },
    'host-base': { args: ['translate', 'g.asm', '--address', '0x200000'], values: ['0x200000000'] },
    'hva-base': { args: ['translate', 'g.asm', '--address', '0x200000'], values: ['0x7e0000000000'] },
    'host-pages': { values: ['2m'] },
    seed: { args: ['translate', 'g.asm', '--address', '0x200000'], values: ['7'] },
    firmware: { args: ['run', 'real.asm', '--start', 'reset'], values: ['rom.bin'] },
    module: { args: ['run', 'mb.asm'], values: ['rom.bin'] },
    append: { args: ['run', 'mb.asm'], values: ['quiet and a long command line'] },
    disk: { values: ['rom.bin'] },
    assembler: { values: ['gas'] },
    define: { values: ['N=1'] },
    include: { args: ['run', 'i.asm'], values: ['lib'] },
    warning: { args: ['run', 'w.asm'], values: ['-label-orphan'] },
    'max-instructions': { values: ['3'] },
    serial: { values: ['serial.txt'] },
    debugcon: { values: ['debugcon.txt'] },
    trace: { values: ['trace.jsonl'] },
  };

describe('every option', function () {
  for (const key of OPTION_KEYS)
    it(`${key} acts, or is refused by name`, async () => {
      const { args = ['run', 'g.asm'], values } = WITNESS[key];
      const json = [...args, '--json'];
      const without = await pagewalk(json, FILES);
      for (const value of values) {
        const given = await pagewalk([...json, `--${key}`, value], FILES);
        assert.notDeepEqual(given, without, value);
        // what is told to be not built is refused, with the option's name
        if (optionSpec(key).notBuilt?.includes('*')) {
          assert.equal(given.code, 2);
          assert.match(given.stderr, new RegExp(`\`--${key}\``));
        }
      }
    });
});
