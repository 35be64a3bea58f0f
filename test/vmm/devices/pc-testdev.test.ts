/** QEMU's pc-testdev (hw/misc/pc-testdev.c), under every method. */
import assert from 'node:assert/strict';
import { Guest, LAST_LEVEL } from '../support/guest';
import { METHODS } from '../../kvm/support/methods';
import { DEFAULT_OPTIONS } from '../../../src/vmm/options';
import { Machine } from '../../../src/vmm/machine';
import { flatImage } from '../../../src/vmm/loader/image';
import { devicesWith } from '../../../src/vmm/devices/table';

const devices = devicesWith(['pc-testdev']);

/** The device's memory at 0x101000, by an entry of the prepared map. */
const MAP = `
  ${LAST_LEVEL}
  mov eax, 0xff000003
  mov [rbx + 0x101 * 8], rax
  invlpg [0x101000]
  mov esi, 0x101000
`;

function check(source: string, expected: Readonly<Record<number, bigint>>, about?: (guest: Guest) => void): void {
  for (const [method, options] of Object.entries(METHODS)) {
    const guest = new Guest(`${MAP}${source}\nhlt`, 'flat64', { ...options, devices });
    const gprs = guest.halt();
    for (const [register, value] of Object.entries(expected))
      assert.equal(gprs[Number(register)], value, `r${register} under ${method}`);
    about?.(guest);
  }
}

describe('pc-testdev', () => {
  it('has memory that is no RAM: it keeps what is written, at every size, and each access goes to the VMM', () => {
    const source = `mov rax, 0x1122334455667788
      mov [rsi], rax
      mov r8, [rsi]
      movzx r9d, word [rsi + 6]
      mov byte [rsi + 1], 0xee
      mov r10d, [rsi]
      add qword [rsi + 8], 5
      mov r11, [rsi + 8]`;
    check(source, { 8: 0x1122_3344_5566_7788n, 9: 0x1122n, 10: 0x5566_ee88n, 11: 5n }, ({ steps }) => {
      const of = (fn: string): number => steps.filter((s) => s.fn === fn).length;
      assert.deepEqual([of('test_iomem_write'), of('test_iomem_read')], [3, 5]);
    });
  });
  it('has a register at ports 0xe0–0xe3 and 0xe8–0xeb', () => {
    const source = `mov eax, 0xa1b2c3d4
      out 0xe0, eax
      in al, 0xe1
      movzx r8d, al
      in ax, 0xe2
      movzx r9d, ax
      mov al, 0x11
      out 0xe8, al
      in eax, 0xe0
      mov r10d, eax
      in al, 0xe4
      movzx r11d, al`;
    check(source, { 8: 0xc3n, 9: 0xa1b2n, 10: 0xa1b2_c311n, 11: 0xffn });
  });
  it('has interrupt lines at ports 0x2000–0x2017', () => {
    const source = `mov edx, 0x2003
      mov al, 1
      out dx, al
      mov dl, 0x17
      out dx, al
      mov dl, 3
      mov al, 0
      out dx, al`;
    check(source, {}, ({ machine }) => {
      assert.equal(machine.bus.lines.levels, 1 << 0x17);
    });
  });
  it('flushes a page: what the hypervisor derived from the VMM’s mapping is gone, its contents are not', () => {
    const source = `mov qword [0x300000], 5
      mov eax, 0x300123
      out 0xe4, eax
      out 0xe4, ax
      mov r8, [0x300000]`;
    check(source, { 8: 5n }, ({ steps, machine }) => {
      const at = steps.findIndex((s) => s.fn === 'test_flush_page');
      assert.notEqual(at, -1);
      if (machine.options.mmu === 'ept' || machine.options.mmu === 'npt') {
        const fault = machine.options.mmu === 'ept' ? 'handle_ept_violation' : 'npf_interception';
        const ofPage = (s: (typeof steps)[number]): boolean => s.fn === fault && s.addresses?.gpa === 0x30_0000n;
        assert.deepEqual(
          [steps.slice(0, at), steps.slice(at)].map((part) => part.filter(ofPage).length),
          [1, 1],
        );
      }
    });
  });
  it('is there for whoever asks, and not in the way of RAM', () => {
    const without = new Guest(`${MAP}mov dword [rsi], 1\nmov r8d, [rsi]\nin al, 0xe0\nhlt`).halt();
    assert.deepEqual([without[8], (without[0] ?? 0n) & 0xffn], [0xffff_ffffn, 0xffn]);
    const image = flatImage(Uint8Array.of(0xf4), 'flat64', { file: 'guest.asm' });
    assert.ok(image.ok);
    const sinks = { serial: () => undefined, debugcon: () => undefined };
    const slots = [{ gpa: 0n, size: 1n << 32n, readonly: false }];
    const machine = Machine.create({ ...DEFAULT_OPTIONS, slots, devices }, image.value, sinks);
    assert.ok(!machine.ok);
    assert.match(
      machine.error[0]?.message ?? '',
      /^device=pc-testdev: its memory at GPA 0xff000000 must not be guest RAM/,
    );
  });
  it('is saved and restored', () => {
    const source = `${MAP}mov dword [rsi], 0x1234
      mov eax, 0x5678
      out 0xe0, eax
      mov edx, 0x2005
      out dx, al
    first: mov dword [rsi], 0
      xor eax, eax
      out 0xe0, eax
      out dx, al
    again: jmp again`;
    const { machine, symbols } = new Guest(source, 'flat64', { devices });
    const { bus } = machine;
    const seen = (): unknown => [bus.read('gpa', 0xff00_0000n, 4), bus.read('port', 0xe0n, 4), bus.lines.levels];
    machine.cpu.breakpoints.add(symbols.get('first') ?? 0n);
    assert.equal(machine.run(10_000).kind, 'breakpoint');
    const state = machine.save();
    machine.cpu.breakpoints.clear();
    assert.deepEqual(seen(), [0x1234n, 0x5678n, 1 << 5]);
    machine.run(1000);
    assert.deepEqual(seen(), [0n, 0n, 0]);
    machine.restore(state);
    assert.deepEqual(seen(), [0x1234n, 0x5678n, 1 << 5]);
  });
});
