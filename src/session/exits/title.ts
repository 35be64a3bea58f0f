import { hex } from '../../base/hex';
import type { ExitCause, SecondLevelFault } from '../../kvm/exit-cause';
import type { ShadowFaultKind } from '../../kvm/mmu/shadow/fault';

interface TitledExit {
  readonly name: string;
  readonly cause: ExitCause;
  readonly gva?: bigint | undefined;
  readonly fault?: ShadowFaultKind | undefined;
}

/** A line for status bars: `EPT_VIOLATION, write, GPA 0x5000`. The name of an SVM exit says the control register already. */
export function exitTitle({ name, cause, gva, fault }: TitledExit): string {
  switch (cause.kind) {
    case 'second-level': {
      const access = cause.tableWalk
        ? 'guest table entry, '
        : cause.read || cause.write || cause.exec
          ? `${opOf(cause)}, `
          : '';
      return `${name}, ${access}GPA ${hex(cause.gpa)}`;
    }
    case 'port':
      return `${name}, ${cause.input ? 'in' : 'out'}, port ${hex(cause.port)}`;
    case 'control-register':
      return name === 'CR_ACCESS' ? `${name}, CR${cause.cr}` : name;
    case 'exception':
      return fault === undefined
        ? name
        : `${name}, #PF ${fault === 'guest' ? "of the guest's own" : `(${fault})`}, GVA ${hex(gva ?? 0n)}`;
    default:
      return name;
  }
}

/** An entry of the guest's tables that is accessed as a write counts as read and written. */
export const opOf = ({ exec, write }: SecondLevelFault): 'read' | 'write' | 'fetch' =>
  exec ? 'fetch' : write ? 'write' : 'read';
