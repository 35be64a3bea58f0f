import { bits } from '../../base/bits';
import { hex } from '../../base/hex';
import { CR0 } from '../../isa/flags';
import { cost } from '../../trace/costs';
import type { Work } from '../../trace/step';
import type { ControlRegisterCause } from '../exit-cause';
import { kvmSetCr0, kvmSetCr3, kvmSetCr4, kvmSetCr8, type Accepted } from '../x86/control-registers';
import { REENTER, type Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';

/** An access to a control register that exited. `gpr`: source or destination; `source`: the operand of LMSW. */
export type ControlRegisterAccess =
  | { readonly kind: 'write' | 'read'; readonly cr: 0 | 3 | 4 | 8; readonly gpr: number }
  | { readonly kind: 'clts' }
  | { readonly kind: 'lmsw'; readonly source: bigint };

const CONTROL_REGISTERS = [0, 3, 4, 8] as const;

/** Undefined: a register that nothing intercepts, or an instruction that the CPU does not tell. */
export function controlRegisterAccess({
  cr,
  access,
  gpr,
  source,
}: ControlRegisterCause): ControlRegisterAccess | undefined {
  const number = CONTROL_REGISTERS.find((n) => n === cr);
  if (number === undefined || gpr === undefined) return undefined;
  if (access === 'clts') return { kind: 'clts' };
  return access === 'lmsw' ? { kind: 'lmsw', source: BigInt(source) } : { kind: access, cr: number, gpr };
}

/** handle_cr, cr_interception: kvm_set_cr or kvm_get_cr, then skips the instruction. `fn`: which of the two. */
export function* accessControlRegister(v: Vcpu, a: ControlRegisterAccess, fn: string): Work<Handled> {
  switch (a.kind) {
    case 'write': {
      const value = operand(v, a.gpr);
      const accepted = SETTERS[a.cr](v, value);
      if (accepted === true) v.skipEmulatedInstruction();
      else v.injectGp(accepted);
      yield v.step(
        fn,
        `MOV to CR${a.cr}: ${hex(value)}${accepted === true ? '' : ' is refused: #GP(0)'}`,
        cost('kvmHandler'),
      );
      return REENTER;
    }
    case 'read': {
      const value = GETTERS[a.cr](v);
      v.regs.setGpr(a.gpr, value);
      v.skipEmulatedInstruction();
      yield v.step(fn, `MOV from CR${a.cr}: ${hex(value)}`, cost('kvmHandler'));
      return REENTER;
    }
    case 'clts': {
      v.ops.setCr0(v.regs.cr0 & ~(1n << BigInt(CR0.TS)));
      v.skipEmulatedInstruction();
      yield v.step(fn, 'CLTS clears CR0.TS', cost('kvmHandler'));
      return REENTER;
    }
    case 'lmsw': {
      // the low four bits, but PE cannot be cleared
      const old = v.regs.cr0;
      const value = (old & ~0xen) | (bits(a.source, 3, 0) & 0xfn) | (old & 1n);
      const accepted = kvmSetCr0(v, value);
      if (accepted === true) v.skipEmulatedInstruction();
      else v.injectGp(accepted);
      yield v.step(
        fn,
        `LMSW makes CR0 ${hex(value)}${accepted === true ? '' : ', refused: #GP(0)'}`,
        cost('kvmHandler'),
      );
      return REENTER;
    }
  }
}

const SETTERS: Readonly<Record<0 | 3 | 4 | 8, (v: Vcpu, value: bigint) => Accepted>> = {
  0: kvmSetCr0,
  3: kvmSetCr3,
  4: kvmSetCr4,
  8: kvmSetCr8,
};
const GETTERS: Readonly<Record<0 | 3 | 4 | 8, (v: Vcpu) => bigint>> = {
  0: (v) => v.regs.cr0,
  3: (v) => v.regs.cr3,
  4: (v) => v.regs.cr4,
  8: (v) => BigInt(v.lapic.taskPriority >> 4),
};

/** A general register as MOV to CR reads it: 32 bits outside 64-bit mode. */
const operand = (v: Vcpu, gpr: number): bigint =>
  v.regs.mode64 ? v.regs.gpr(gpr) : BigInt.asUintN(32, v.regs.gpr(gpr));
