import assert from 'node:assert/strict';
import { Guest } from '../vmm/support/guest';
import { Lapic } from '../../src/kvm/lapic';
import { APIC, DELIVERY } from '../../src/kvm/lapic-registers';

const BASE = 0xfee0_0000n;

/** Two local APICs on one bus, software-enabled, over a clock that the test sets. */
function bus(): { readonly a: Lapic; readonly b: Lapic; readonly nmis: number[]; at(time: bigint): void } {
  let now = 0n;
  const nmis = [0, 0];
  const all: Lapic[] = [];
  const make = (id: number): Lapic => {
    const apic = new Lapic(id, {
      now: () => now,
      tscOffset: () => 1000n,
      all: () => all,
      nmi: () => void nmis[id]!++,
      taskPriority: () => undefined,
    });
    all.push(apic);
    apic.writeMmio(APIC.SVR, 4, 0x1ff);
    return apic;
  };
  return { a: make(0), b: make(1), nmis, at: (time) => void (now = time) };
}
const ipi = (from: Lapic, icr: number, to = 0): void => {
  from.writeMmio(APIC.ICR2, 4, to << 24);
  from.writeMmio(APIC.ICR, 4, icr);
};

describe('local APIC', () => {
  it('takes the highest vector above the priority in service, and the next after EOI', () => {
    const { a } = bus();
    for (const vector of [0x41, 0x45, 0x62]) a.accept(DELIVERY.FIXED, vector, false);
    assert.equal(a.acknowledge(), 0x62);
    assert.equal(a.pending, -1);
    a.writeMmio(APIC.EOI, 4, 0);
    assert.equal(a.acknowledge(), 0x45);
    // the same class does not interrupt itself, and the task priority holds classes back
    assert.equal(a.pending, -1);
    a.writeMmio(APIC.EOI, 4, 0);
    a.setTaskPriority(0x40);
    assert.equal(a.pending, -1);
    a.setTaskPriority(0x30);
    assert.equal(a.pending, 0x41);
    assert.equal(a.readMmio(APIC.IRR + 0x20, 4), 2n);
  });
  it('sends to itself, to others, by logical destination, and NMIs', () => {
    const { a, b, nmis } = bus();
    ipi(a, 0x4_0031);
    assert.deepEqual([a.pending, b.pending], [0x31, -1]);
    ipi(a, 0xc_0032);
    assert.deepEqual([a.pending, b.pending], [0x31, 0x32]);
    b.writeMmio(APIC.LDR, 4, 0x0200_0000);
    ipi(a, 0x0833, 2);
    assert.deepEqual([a.pending, b.pending], [0x31, 0x33]);
    ipi(a, DELIVERY.NMI << 8, 1);
    assert.deepEqual(nmis, [0, 1]);
    ipi(a, 0x4_0005);
    assert.equal(a.readMmio(APIC.ESR, 4), 0x60n);
  });
  it('counts down once, again and again, or to a TSC deadline', () => {
    const { a, at } = bus();
    a.writeMmio(APIC.TIMER_DIVIDE, 4, 0);
    a.writeMmio(APIC.LVT_TIMER, 4, 0x50);
    a.writeMmio(APIC.TIMER_INITIAL, 4, 100);
    at(60n);
    assert.equal(a.readMmio(APIC.TIMER_CURRENT, 4), 70n);
    assert.equal(a.checkTimer(), false);
    at(200n);
    assert.equal(a.checkTimer(), true);
    assert.equal(a.acknowledge(), 0x50);
    assert.equal(a.timer.deadline, undefined);
    a.writeMmio(APIC.LVT_TIMER, 4, 0x2_0050);
    a.writeMmio(APIC.TIMER_INITIAL, 4, 100);
    at(1050n);
    assert.equal(a.checkTimer(), true);
    assert.equal(a.timer.deadline, 1200n);
    a.writeMmio(APIC.LVT_TIMER, 4, 0x4_0050);
    a.timer.setDeadline(3000n);
    assert.equal(a.timer.deadline, 2000n);
  });
  it('changes modes only as figure 10-27 of the manual has it', () => {
    const { a } = bus();
    const set = (bits: bigint): boolean => a.setBase(BASE | bits, 46, true) === true;
    assert.equal(set(0xd00n), true);
    assert.equal(a.x2apic, true);
    assert.equal(set(0x900n), false, 'x2APIC to xAPIC');
    assert.equal(a.readMsr(0x802), 0n);
    assert.notEqual(a.writeMsr(0x802, 1n), true);
    assert.equal(a.answers(BASE), false);
    assert.equal(set(0x100n), true);
    assert.equal(set(0xd00n), false, 'disabled to x2APIC');
    assert.equal(set(0x500n), false, 'EXTD without EN');
  });
  it('wakes a halted guest: time passes at once', () => {
    const guest = new Guest(
      `
  mov rsp, 0x70000
  lidt [idtr]
  ; the prepared map ends with RAM: a 1 GiB page for the registers
  mov rax, cr3
  mov ecx, 0xc0000083
  mov [rax + 0x1000 + 3 * 8], rcx
  mov ebx, 0xfee00000
  mov dword [rbx + 0xf0], 0x1ff
  mov dword [rbx + 0x3e0], 0xb
  mov dword [rbx + 0x320], 0x40
  rdtsc
  mov esi, eax
  mov dword [rbx + 0x380], 1000000
  sti
  hlt
  cli
  rdtsc
  sub eax, esi
  hlt
handler:
  mov dword [rbx + 0xb0], 0
  inc edi
  iretq
idtr: dw 0x40 * 16 + 15
  dq idt
align 16
idt: times 0x40 dq 0, 0
  dw handler - $$ , 8, 0x8e00, 0x10
  dq 0
`,
      'flat64',
      { memory: 4n << 20n },
    );
    const gprs = guest.halt();
    assert.equal(gprs[7], 1n);
    assert.ok((gprs[0] as bigint) >= 1_000_000n && (gprs[0] as bigint) < 1_000_200n, `${gprs[0]}`);
  });
});
