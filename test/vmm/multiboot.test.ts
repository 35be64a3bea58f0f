import * as assert from 'node:assert/strict';
import { assemble } from '../../src/asm/index';
import { PostDisplay } from '../../src/vmm/devices/post';
import { firmwareImage, multibootImage, type GuestImage } from '../../src/vmm/loader/image';
import { parseMultiboot } from '../../src/vmm/loader/multiboot';
import { Machine } from '../../src/vmm/machine';
import { DEFAULT_OPTIONS, type MachineOptions } from '../../src/vmm/options';

function bytesOf(source: string): Uint8Array {
  const out = assemble(source, { fileName: 'guest.asm' });
  assert.deepEqual(out.diagnostics, []);
  return out.image;
}

/** Runs to the end: what the debug console got, and the machine. */
function run(
  image: GuestImage,
  options: Partial<MachineOptions> = {},
): { readonly text: string; readonly machine: Machine } {
  let text = '';
  const made = Machine.create({ ...DEFAULT_OPTIONS, ...options }, image, {
    serial: () => undefined,
    debugcon: (b) => (text += String.fromCharCode(b)),
  });
  assert.ok(made.ok, made.ok ? '' : JSON.stringify(made.error));
  assert.equal(made.value.run(100_000).kind, 'end');
  return { text, machine: made.value };
}

/** A kernel at 2 MiB by its header's address fields; `code` runs behind the header. */
const kernel = (code: string, flags = 0x1_0000): Uint8Array =>
  bytesOf(`
bits 32
org 0x200000
header:
  dd 0x1badb002, ${flags}, -(0x1badb002 + ${flags}), header, 0x200000, 0, bss_end, entry
entry:
${code}
  hlt
print:
  lodsb
  test al, al
  jz .done
  out 0xe9, al
  jmp print
.done: ret
message: db "x"
bss_end equ $ + 64
`);

describe('Multiboot 1', () => {
  it('hands over magic, command line, modules and memory', () => {
    const image = multibootImage(
      kernel(`
  cmp eax, 0x2badb002
  jne bad
  mov esp, 0x80000
  mov edx, ebx
  mov esi, [edx + 16]
  call print
  mov al, '|'
  out 0xe9, al
  mov ecx, [edx + 24]
  mov esi, [ecx]
  call print
  mov esi, [ecx + 8]
  call print
  mov ecx, [edx + 4]
  mov ebp, [edx + 8]
bad:`),
      'kernel',
      'kernel quiet',
      [{ bytes: new TextEncoder().encode('module text\0'), commandLine: '|its name' }],
    );
    assert.ok(image.ok);
    const { text, machine } = run(image.value, { memory: 16n << 20n });
    assert.equal(text, 'kernel quiet|module text|its name');
    const s = machine.vcpu.registers();
    assert.equal(s.get(1), 640n);
    assert.equal(s.get(5), 15n * 1024n);
  });
  it('says what is wrong with a kernel', () => {
    const why = (bytes: Uint8Array): string => {
      const r = parseMultiboot(bytes);
      return r.ok ? '' : r.error;
    };
    assert.match(why(new Uint8Array(64)), /no Multiboot 1 header/);
    assert.match(why(kernel('', 0x1_0004)), /video mode/);
    assert.match(why(kernel('', 0x1_0008)), /requirements 0x8/);
    assert.match(why(kernel('', 0)), /ELF file, or sets flag 16/);
  });
});

describe('reset', () => {
  const firmware = (top: string): Uint8Array =>
    bytesOf(`
bits 16
org 0xf0000
  times 0x100 db 0xf4
start:
  mov ax, cs
  mov ds, ax
  mov al, 'R'
  out 0xe9, al
  mov al, 0x55
  mov dx, 0x190
  out dx, al
  ${top}
  hlt
  times 0xfff0 - ($ - $$) db 0
  jmp 0xf000:0x100
  times 0x10000 - ($ - $$) db 0xff
`);
  it('begins at FFFFFFF0 in a read-only image, and goes on in its copy below 1 MiB', () => {
    const image = firmwareImage(firmware('mov byte [0x40], 0x77'), 'bios');
    assert.ok(image.ok);
    const { text, machine } = run(image.value, { memory: 2n << 20n });
    assert.equal(text, 'R');
    assert.deepEqual(machine.bus.find(PostDisplay)?.codes, [0x55]);
    assert.deepEqual(
      machine.vm.memslots.all.map((m) => [m.start, m.readonly]),
      [
        [0n, false],
        [0xffff_0000n, true],
      ],
    );
  });
  it('refuses images that are no whole pages', () => {
    assert.equal(firmwareImage(new Uint8Array(100), 'bios').ok, false);
  });
});
