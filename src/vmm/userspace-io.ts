import { assertUnreachable } from '../base/assert';
import { bit } from '../base/bits';
import { hex } from '../base/hex';
import { RFLAGS } from '../isa/flags';
import type { ChainEvent } from '../hw/cpu/event-chain';
import type { CpuState } from '../hw/state/cpu-state';
import { cost } from '../host/costs';
import { vmmStep, type Work } from '../host/step';
import type { UnmetCheck, UserspaceExit } from '../kvm/userspace-exit';
import type { PortBus } from './devices/bus';
import type { ExitPort } from './devices/exit-port';
import { END_CODES, type MachineEnd } from './machine-stop';
import { withoutFirmware } from './no-firmware';
import { reasonsOf } from './fault-reasons';
import type { ReadGuest } from './start/real';
import { explainTripleFault } from './triple-fault';

/** What the VMM makes of an exit: KVM_RUN again with this answer, or the end. */
export type Answer =
  { readonly kind: 'run'; readonly value: bigint } | { readonly kind: 'end'; readonly end: Omit<MachineEnd, 'rip'> };

/** QEMU's functions behind each device, for the steps. */
const DEVICE_FUNCTIONS: Readonly<Record<string, readonly [read: string, write: string]>> = {
  serial: ['serial_ioport_read', 'serial_ioport_write'],
  debugcon: ['debugcon_ioport_read', 'debugcon_ioport_write'],
  post: ['post_read', 'post_write'],
  'exit-port': ['debug_exit_read', 'debug_exit_write'],
  'pc-testdev': ['test_ioport_read', 'test_ioport_write'],
  'pc-testdev-irq-line': ['test_irq_line', 'test_irq_line'],
  'pc-testdev-iomem': ['test_iomem_read', 'test_iomem_write'],
};
const UNASSIGNED = ['unassigned_io_read', 'unassigned_io_write'] as const;
const UNASSIGNED_MEMORY = ['unassigned_mem_read', 'unassigned_mem_write'] as const;

const end = (
  kind: keyof typeof END_CODES,
  why: string,
  unmet: readonly UnmetCheck[] = [],
): Answer & { readonly kind: 'end' } => ({
  kind: 'end',
  end: { kind, code: END_CODES[kind], why, unmet },
});
const go = (value = 0n): Answer => ({ kind: 'run', value });

/** kvm_cpu_exec of QEMU: what user space does when KVM_RUN returns. `guest`: the registers at the exit; `undelivered`: the exceptions behind a triple fault; `latest`: the events that last went to a handler; `read`: guest RAM, for explanations. */
export function* userspace(
  exit: UserspaceExit,
  bus: PortBus,
  exitPort: ExitPort | undefined,
  guest: CpuState,
  undelivered: readonly ChainEvent[],
  latest: readonly ChainEvent[],
  read: ReadGuest,
): Work<Answer> {
  yield vmmStep('kvm_cpu_exec', `ioctl(KVM_RUN) returns ${exit.reason}`, cost('userspaceSwitch'));
  switch (exit.reason) {
    case 'KVM_EXIT_IO':
      return yield* portAccess(exit, bus, exitPort);
    case 'KVM_EXIT_MMIO':
      return yield* memoryAccess(exit, bus);
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

/** An IN or OUT, by the device that has the port. */
export function* portAccess(
  io: Pick<Extract<UserspaceExit, { reason: 'KVM_EXIT_IO' }>, 'direction' | 'port' | 'size' | 'value'>,
  bus: PortBus,
  exitPort: ExitPort | undefined,
): Work<Answer> {
  const device = bus.at(io.port);
  bus.unanswered.note('port', BigInt(io.port), io.direction === 'out', device !== undefined);
  const [read, write] = (device && DEVICE_FUNCTIONS[device.name]) ?? UNASSIGNED;
  const where = device ? `${device.name}, port ${hex(io.port)}` : `port ${hex(io.port)}, where no device is`;
  if (io.direction === 'in') {
    const value = bus.read(io.port, io.size);
    yield vmmStep(read, `a read of ${where}, answers ${hex(value)}`, cost('deviceModel'));
    return go(BigInt(value));
  }
  bus.write(io.port, io.size, io.value);
  yield vmmStep(write, `a write of ${hex(io.value)} to ${where}${device ? '' : ', is swallowed'}`, cost('deviceModel'));
  const acts = device?.act?.(io.port, io.size, io.value);
  if (acts) yield* acts;
  if (exitPort?.code === undefined || exitPort.value === undefined) return go();
  const why = `the guest wrote ${hex(exitPort.value)} to the exit port: exit code ${exitPort.code}`;
  return { kind: 'end', end: { kind: 'exit-port', code: exitPort.code, why, unmet: [] } };
}

/** An access to guest physical memory where no RAM is, by the device that is there. */
export function* memoryAccess(
  io: Pick<Extract<UserspaceExit, { reason: 'KVM_EXIT_MMIO' }>, 'gpa' | 'isWrite' | 'size' | 'value'>,
  bus: PortBus,
): Work<Answer> {
  const device = bus.memory.at(io.gpa);
  bus.unanswered.note('gpa', io.gpa, io.isWrite, device !== undefined);
  const [read, write] = (device && DEVICE_FUNCTIONS[device.name]) ?? UNASSIGNED_MEMORY;
  const addresses = { addresses: { gpa: io.gpa } };
  const where = device ? `, in ${device.name}` : ', where no device is';
  if (io.isWrite) {
    bus.memory.write(io.gpa, io.size, io.value);
    const what = `a write of ${hex(io.value)} to GPA ${hex(io.gpa)}${where}${device ? '' : ', is swallowed'}`;
    yield vmmStep(write, what, cost('deviceModel'), addresses);
    return go();
  }
  const value = bus.memory.read(io.gpa, io.size);
  const answer = device ? hex(value) : 'ones';
  yield vmmStep(read, `a read of GPA ${hex(io.gpa)}${where}, answers ${answer}`, cost('deviceModel'), addresses);
  return go(value);
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
    // the event that led there is the last that reached a handler
    const last = events.at(-1);
    const reason = stub.event && last?.event.vector === stub.vector ? reasonsOf([last]) : [];
    return { kind: 'end', end: { ...ended, unserved: true, reason } };
  }
  return bit(guest.rflags, RFLAGS.IF)
    ? end('idle', 'the guest halted with interrupts on, and there is nothing left that could interrupt it')
    : end('halt', 'the guest halted with interrupts off');
}
