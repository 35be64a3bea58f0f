import { assertUnreachable } from '../base/assert';
import { bit } from '../base/bits';
import { gpa } from '../base/address';
import { hex } from '../base/hex';
import { RFLAGS } from '../isa/flags';
import type { ChainEvent } from '../hw/cpu/event-chain';
import type { CpuState } from '../hw/state/cpu-state';
import { cost } from '../trace/costs';
import { vmmStep, type Work } from '../trace/step';
import type { UnmetCheck, UserspaceExit } from '../kvm/userspace-exit';
import type { Bus } from './bus/bus';
import type { RunEnd, Space } from './bus/device';
import { END_CODES } from './machine-stop';
import { withoutFirmware } from './no-firmware';
import { reasonsOf } from './fault-reasons';
import type { ReadGuest } from './start/real';
import { explainTripleFault } from './triple-fault';

/** The VMM's response to an exit: KVM_RUN again with this answer, or the end. */
export type Answer = { readonly kind: 'run'; readonly value: bigint } | { readonly kind: 'end'; readonly end: RunEnd };

/** QEMU's functions for accesses without a device. */
const UNASSIGNED = {
  port: ['unassigned_io_read', 'unassigned_io_write'],
  gpa: ['unassigned_mem_read', 'unassigned_mem_write'],
} as const;

const end = (
  kind: keyof typeof END_CODES,
  why: string,
  unmet: readonly UnmetCheck[] = [],
): Answer & { readonly kind: 'end' } => ({
  kind: 'end',
  end: { kind, code: END_CODES[kind], why, unmet },
});
const go = (value = 0n): Answer => ({ kind: 'run', value });

/**
 * kvm_cpu_exec of QEMU: what user space does when KVM_RUN returns. `guest`: the registers at the exit; `undelivered`:
 * the exceptions that led to a triple fault; `latest`: the events last delivered to a handler; `read`: guest RAM, for
 * explanations.
 */
export function* userspace(
  exit: UserspaceExit,
  bus: Bus,
  guest: CpuState,
  undelivered: readonly ChainEvent[],
  latest: readonly ChainEvent[],
  read: ReadGuest,
): Work<Answer> {
  yield vmmStep('kvm_cpu_exec', `ioctl(KVM_RUN) returns ${exit.reason}`, cost('userspaceSwitch'));
  switch (exit.reason) {
    case 'KVM_EXIT_IO':
      return yield* deviceAccess(
        {
          space: 'port',
          address: BigInt(exit.port),
          write: exit.direction === 'out',
          size: exit.size,
          value: BigInt.asUintN(32, BigInt(exit.value)),
        },
        bus,
      );
    case 'KVM_EXIT_MMIO':
      return yield* deviceAccess(
        { space: 'gpa', address: exit.gpa, write: exit.isWrite, size: exit.size, value: exit.value },
        bus,
      );
    case 'KVM_EXIT_HLT':
      return halted(guest, read, latest);
    case 'KVM_EXIT_SHUTDOWN':
      return {
        kind: 'end',
        end: {
          kind: 'triple-fault',
          code: END_CODES['triple-fault'],
          unmet: [],
          ...explainTripleFault(undelivered, guest.rip),
        },
      };
    case 'KVM_EXIT_IRQ_WINDOW_OPEN':
      return go();
    case 'KVM_EXIT_FAIL_ENTRY':
      return end(
        'entry-failure',
        `the VM entry failed (hardware reason ${hex(exit.hardwareReason)}): ${exit.why}`,
        exit.unmet,
      );
    case 'EFAULT':
      return end('internal-error', `ioctl(KVM_RUN) fails with EFAULT for GPA ${hex(exit.gpa)}: ${exit.why}`);
    case 'KVM_EXIT_INTERNAL_ERROR':
      return end('internal-error', `KVM internal error (${exit.suberror}): ${exit.why}`);
    default:
      return assertUnreachable(exit);
  }
}

/** An access of 1 to 8 bytes to an address without RAM. */
interface DeviceAccess {
  readonly space: Space;
  readonly address: bigint;
  readonly write: boolean;
  readonly size: number;
  readonly value: bigint;
}

/** An IN, an OUT, or an access to guest physical memory without RAM, answered by the device there. */
export function* deviceAccess({ space, address, write, size, value }: DeviceAccess, bus: Bus): Work<Answer> {
  const entry = bus.at(space, address);
  bus.unanswered.note(space, address, write, entry !== undefined);
  const fn = (entry?.range.functions ?? UNASSIGNED[space])[write ? 1 : 0];
  const about = space === 'gpa' ? { addresses: { gpa: gpa(address) } } : {};
  const where = placeWords(space, address, entry?.name);
  if (!write) {
    const answer = bus.read(space, address, size);
    const words = entry || space === 'port' ? hex(answer) : 'ones';
    yield vmmStep(fn, `a read of ${where}, answers ${words}`, cost('deviceModel'), about);
    return answered(bus, answer);
  }
  bus.write(space, address, size, value);
  const swallowed = entry ? '' : ', is ignored';
  yield vmmStep(fn, `a write of ${hex(value)} to ${where}${swallowed}`, cost('deviceModel'), about);
  const acts = entry?.device.written?.(Number(address - entry.range.first), size, value, entry.range);
  if (acts) yield* acts;
  return answered(bus);
}

function answered(bus: Bus, value?: bigint): Answer {
  const ending = bus.takeEnd();
  return ending ? { kind: 'end', end: ending } : go(value);
}

function placeWords(space: Space, address: bigint, device: string | undefined): string {
  if (device === undefined) return `${space === 'port' ? 'port' : 'GPA'} ${hex(address)}, where no device is`;
  return space === 'port' ? `${device}, port ${hex(address)}` : `GPA ${hex(address)}, in ${device}`;
}

/** A guest that halted and that nothing will wake. */
export function halted(
  guest: CpuState,
  read: ReadGuest,
  events: readonly ChainEvent[],
): Answer & { readonly kind: 'end' } {
  const stub = withoutFirmware(guest, read);
  if (stub !== undefined) {
    const { end: ended } = end('internal-error', stub.why);
    // the event that led there is the last one delivered to a handler
    const last = events.at(-1);
    const reason = stub.event && last?.event.vector === stub.vector ? reasonsOf([last]) : [];
    return { kind: 'end', end: { ...ended, unserved: true, reason } };
  }
  return bit(guest.rflags, RFLAGS.IF)
    ? end('idle', 'the guest halted with interrupts on, and nothing is left to interrupt it')
    : end('halt', 'the guest halted with interrupts off');
}
