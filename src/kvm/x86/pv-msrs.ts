import { gpa, type Gpa } from '../../base/address';
import { drain } from '../../trace/step';
import { SLOT } from '../../hw/state/layout';
import { MSR } from '../../isa/msrs';
import { withoutReserved } from '../../hw/cpu/system/msr-refusal';
import type { FaultReason } from '../../isa/reasons/index';
import { slotHva } from '../memslots';
import type { Vcpu } from '../vcpu';
import type { KvmMsr } from './kvm-msr';

/**
 * KVM's paravirtual MSRs for clocks, stolen time and the like (Documentation/virt/kvm/x86/msr.rst). CPUID does not
 * offer them, yet KVM answers them: guest_pv_has checks only if the VMM makes KVM enforce CPUID, which QEMU does not
 * by default.
 */
const ENABLED = 1n;
/** Reserved bits of KVM_STEAL_TIME. */
const STEAL_RESERVED = 0x3en;
/** Bit 1 of PV_EOI is reserved; the address is four-byte aligned. */
const PV_EOI_RESERVED = 2n;

/** A structure in guest memory; without RAM there, nothing is written. */
function write(v: Vcpu, at: Gpa, words: readonly number[]): void {
  const { memslots } = v.vm;
  const bytes = new Uint8Array(Uint32Array.from(words).buffer);
  const slot = memslots.find(at);
  if (!slot || slot.readonly || at + BigInt(bytes.length) > slot.end) return;
  drain(v.vm.space.write(slotHva(slot, at), bytes));
  v.vm.markPageDirty(at);
}
const half = (value: bigint): [low: number, high: number] => [
  Number(value & 0xffff_ffffn),
  Number((value >> 32n) & 0xffff_ffffn),
];
/** The sequence count at a structure's start, made even and advanced. */
function nextVersion(v: Vcpu, at: Gpa): number {
  const bytes = v.readGuest(at, 4);
  const now = bytes ? new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true) : 0;
  return (now + (now & 1) + 2) >>> 0;
}

/**
 * kvm_write_wall_clock: struct pvclock_wall_clock, version, seconds, nanoseconds at boot. Time here starts with the
 * machine.
 */
function writeWallClock(v: Vcpu, at: Gpa): void {
  if (at !== 0n) write(v, at, [nextVersion(v, at), 0, 0]);
}
/**
 * kvm_guest_time_update: struct pvclock_vcpu_time_info.
 *
 *    0 version  4 pad  8 tsc_timestamp  16 system_time  24 tsc_to_system_mul  28 tsc_shift, flags
 *
 * A tick of the TSC is one nanosecond: a half of 2^32, shifted left by one.
 */
function writeSystemTime(v: Vcpu, at: Gpa): void {
  const tsc = BigInt.asUintN(64, v.hostTsc + v.ops.tscOffset);
  write(v, at, [nextVersion(v, at), 0, ...half(tsc), ...half(v.hostTsc), 0x8000_0000, 1]);
}
/** Updates the time information that the guest enabled: its TSC was written. */
export function updateSystemTime(v: Vcpu): void {
  const value = v.saved.get(SLOT.PV_SYSTEM_TIME);
  if ((value & ENABLED) !== 0n) writeSystemTime(v, gpa(value & ~ENABLED));
}

const kept = (slot: number, take: (v: Vcpu, value: bigint) => boolean | FaultReason): KvmMsr => ({
  read: (v) => v.saved.get(slot),
  write(v, value) {
    const taken = take(v, value);
    if (taken !== true) return taken;
    v.saved.set(slot, value);
    return true;
  },
});
const wallClock = kept(SLOT.PV_WALL_CLOCK, (v, value) => {
  writeWallClock(v, gpa(value));
  return true;
});
const systemTime = kept(SLOT.PV_SYSTEM_TIME, (v, value) => {
  if ((value & ENABLED) !== 0n) writeSystemTime(v, gpa(value & ~ENABLED));
  return true;
});

export const PV_MSRS: readonly (readonly [number, KvmMsr])[] = [
  [MSR.KVM_WALL_CLOCK, wallClock],
  [MSR.KVM_WALL_CLOCK_NEW, wallClock],
  [MSR.KVM_SYSTEM_TIME, systemTime],
  [MSR.KVM_SYSTEM_TIME_NEW, systemTime],
  [
    MSR.KVM_STEAL_TIME,
    kept(SLOT.PV_STEAL_TIME, (v, value) => {
      const allowed = withoutReserved(MSR.KVM_STEAL_TIME, value, STEAL_RESERVED);
      if (allowed !== true) return allowed;
      // the only VCPU never waits for a CPU: struct kvm_steal_time, steal 0, version, flags
      const at = gpa(value & ~0x3fn);
      if ((value & ENABLED) !== 0n) write(v, at, [0, 0, nextVersion(v, gpa(at + 8n)), 0]);
      return true;
    }),
  ],
  // KVM may skip an EOI, but need not
  [MSR.KVM_PV_EOI_EN, kept(SLOT.PV_EOI, (_, value) => withoutReserved(MSR.KVM_PV_EOI_EN, value, PV_EOI_RESERVED))],
  // reads as enabled: the slot holds the written value, inverted
  [
    MSR.KVM_POLL_CONTROL,
    {
      read: (v) => v.saved.get(SLOT.PV_POLL_OFF) ^ 1n,
      write(v, value) {
        const allowed = withoutReserved(MSR.KVM_POLL_CONTROL, value, ~1n);
        if (allowed !== true) return allowed;
        v.saved.set(SLOT.PV_POLL_OFF, value ^ 1n);
        return true;
      },
    },
  ],
];
