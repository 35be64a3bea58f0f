import { bits } from '../../base/bits';
import { hex } from '../../base/hex';
import { cost } from '../../host/costs';
import type { Work } from '../../host/step';
import { kvmEmulateInstruction } from '../emulator/emulate';
import { REENTER, toUserspace, type Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';
import type { ExitHandler } from './handler';

const RAX = 0;

/**
 * handle_io. Exit qualification (SDM vol. 3, table 27-5):
 *
 *   31..16  6          5    4       3        2..0
 *  | port |immediate| REP |string |IN = 1 |size − 1|
 *
 * String forms need the emulator, since their data is in memory; the others are kvm_fast_pio.
 */
export const handleIo: ExitHandler = function* (vcpu) {
  const { context: v } = vcpu;
  const q = v.vmcs.read('EXIT_QUALIFICATION');
  const port = Number(bits(q, 31, 16));
  const size = Number(bits(q, 2, 0)) + 1;
  const input = bits(q, 3, 3) === 1n;
  const string = bits(q, 4, 4) === 1n;
  const name = string ? (input ? 'INS' : 'OUTS') : input ? 'IN' : 'OUT';
  yield v.step(
    'handle_io',
    `reads the exit qualification: ${name} of ${size} byte${size > 1 ? 's' : ''} at port ${hex(port)}`,
    cost('vmread'),
  );
  if (string) return yield* kvmEmulateInstruction(vcpu);
  v.stats.add('io_exits');
  const value = input ? 0 : Number(BigInt.asUintN(size * 8, v.regs.gpr(RAX)));
  vcpu.waiting = { kind: 'fast-pio', input, size };
  yield v.step(
    'kvm_fast_pio',
    input
      ? `no device in the kernel: user space reads port ${hex(port)}`
      : `no device in the kernel: user space writes ${hex(value)} to port ${hex(port)}`,
    cost('kvmHandler'),
  );
  return toUserspace({ reason: 'KVM_EXIT_IO', direction: input ? 'in' : 'out', port, size, value });
};

/** complete_fast_pio_in, complete_fast_pio_out: the data into AL, AX or EAX, and on behind the instruction. */
export function* completeFastPio(vcpu: Vcpu, input: boolean, size: number, value: bigint): Work<Handled> {
  const { context: v } = vcpu;
  if (input) {
    const data = BigInt.asUintN(size * 8, value);
    const old = v.regs.gpr(RAX);
    // a 32-bit result clears the upper half
    v.regs.setGpr(RAX, size === 4 ? data : (old & ~((1n << BigInt(size * 8)) - 1n)) | data);
  }
  v.skipEmulatedInstruction();
  yield v.step(
    input ? 'complete_fast_pio_in' : 'complete_fast_pio_out',
    input ? `the guest gets ${hex(BigInt.asUintN(size * 8, value))}; RIP moves on` : 'RIP moves on',
    cost('vmread', 3),
  );
  return REENTER;
}
