import { bits } from '../../base/bits';
import { hex } from '../../base/hex';
import { CR0 } from '../../isa/flags';
import { cost } from '../../host/costs';
import { kvmSetCr0, kvmSetCr3, kvmSetCr4, kvmSetCr8, vmxSetCr0 } from '../x86/control-registers';
import { REENTER, internalError } from '../userspace-exit';
import type { VcpuContext } from '../vcpu-context';
import type { ExitHandler } from './handler';

const WRITE = 0;
const READ = 1;
const CLTS = 2;
const LMSW = 3;

/**
 * handle_cr. Exit qualification (SDM vol. 3, table 27-3):
 *
 *   31..16       11..8   6           5..4   3..0
 *  |LMSW source| gpr  |LMSW memory | type |number|
 */
export const handleCr: ExitHandler = function* (vcpu) {
  const { context: v } = vcpu;
  const q = v.exitQualification;
  const cr = Number(bits(q, 3, 0));
  const type = Number(bits(q, 5, 4));
  const gpr = Number(bits(q, 11, 8));
  switch (type) {
    case WRITE: {
      const value = operand(v, gpr);
      const set = SETTERS[cr];
      if (!set) break;
      const accepted = set(v, value);
      if (accepted) v.skipEmulatedInstruction();
      else v.injectGp();
      yield v.step(
        'handle_cr',
        `MOV to CR${cr}: ${hex(value)}${accepted ? '' : ' is refused: #GP(0)'}`,
        cost('kvmHandler'),
      );
      return REENTER;
    }
    case READ: {
      const value = cr === 3 ? v.regs.cr3 : BigInt(v.lapic.taskPriority >> 4);
      v.regs.setGpr(gpr, value);
      v.skipEmulatedInstruction();
      yield v.step('handle_cr', `MOV from CR${cr}: ${hex(value)}`, cost('kvmHandler'));
      return REENTER;
    }
    case CLTS: {
      vmxSetCr0(v, v.regs.cr0 & ~(1n << BigInt(CR0.TS)));
      v.skipEmulatedInstruction();
      yield v.step('handle_cr', 'CLTS clears CR0.TS', cost('kvmHandler'));
      return REENTER;
    }
    case LMSW: {
      // the low four bits, but PE cannot be cleared
      const old = v.regs.cr0;
      const value = (old & ~0xen) | (bits(q, 31, 16) & 0xfn) | (old & 1n);
      const accepted = kvmSetCr0(v, value);
      if (accepted) v.skipEmulatedInstruction();
      else v.injectGp();
      yield v.step(
        'handle_cr',
        `LMSW makes CR0 ${hex(value)}${accepted ? '' : ', refused: #GP(0)'}`,
        cost('kvmHandler'),
      );
      return REENTER;
    }
  }
  return internalError('UNEXPECTED_EXIT_REASON', `CR_ACCESS with qualification ${hex(q)}`);
};

const SETTERS: Readonly<Record<number, (v: VcpuContext, value: bigint) => boolean>> = {
  0: kvmSetCr0,
  3: kvmSetCr3,
  4: kvmSetCr4,
  8: kvmSetCr8,
};

/** A general register as MOV to CR takes it: 32 bits outside 64-bit mode. */
const operand = (v: VcpuContext, gpr: number): bigint =>
  v.regs.mode64 ? v.regs.gpr(gpr) : BigInt.asUintN(32, v.regs.gpr(gpr));
