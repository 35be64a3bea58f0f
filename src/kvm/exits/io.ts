import { hex } from '../../base/hex';
import { cost } from '../../trace/costs';
import type { Work } from '../../trace/step';
import type { PortCause } from '../exit-cause';
import { kvmEmulateInstruction } from '../emulator/emulate';
import { REENTER, toUserspace, type Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';

const RAX = 0;

/**
 * handle_io, io_interception: string forms need the emulator, since their data is in memory; the others are
 * kvm_fast_pio. `fn` and `from`: which of the two, and where its operands were recorded.
 */
export function* accessPort(v: Vcpu, a: PortCause, fn: string, from: string): Work<Handled> {
  const { port, size, input, string } = a;
  const name = string ? (input ? 'INS' : 'OUTS') : input ? 'IN' : 'OUT';
  yield v.step(
    fn,
    `reads the ${from}: ${name} of ${size} byte${size > 1 ? 's' : ''} at port ${hex(port)}`,
    v.ops.accessCost(1),
  );
  if (string) return yield* kvmEmulateInstruction(v);
  v.stats.add('io_exits');
  const value = input ? 0 : Number(BigInt.asUintN(size * 8, v.regs.gpr(RAX)));
  v.waiting = { kind: 'fast-pio', input, size };
  yield v.step(
    'kvm_fast_pio',
    input
      ? `no device in the kernel: user space reads port ${hex(port)}`
      : `no device in the kernel: user space writes ${hex(value)} to port ${hex(port)}`,
    cost('kvmHandler'),
  );
  return toUserspace({ reason: 'KVM_EXIT_IO', direction: input ? 'in' : 'out', port, size, value });
}

/** complete_fast_pio_in, complete_fast_pio_out: moves the data into AL, AX or EAX, and skips the instruction. */
export function* completeFastPio(v: Vcpu, input: boolean, size: number, value: bigint): Work<Handled> {
  if (input) {
    const data = BigInt.asUintN(size * 8, value);
    const old = v.regs.gpr(RAX);
    // a 32-bit result clears the upper half
    v.regs.setGpr(RAX, size === 4 ? data : (old & ~((1n << BigInt(size * 8)) - 1n)) | data);
  }
  v.skipEmulatedInstruction();
  yield v.step(
    input ? 'complete_fast_pio_in' : 'complete_fast_pio_out',
    input ? `the guest gets ${hex(BigInt.asUintN(size * 8, value))}; RIP advances` : 'RIP advances',
    v.ops.accessCost(3),
  );
  return REENTER;
}
