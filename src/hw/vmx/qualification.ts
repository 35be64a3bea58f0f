import { VMX_EXIT } from '../../isa/exits';
import { INTR_INFO, INTR_TYPE } from '../../isa/vmcs-controls';
import { VECTOR } from '../../isa/exceptions';
import type { VmExit } from '../state/event';
import { interruptionInfo } from '../state/interruption';

/** Control-register accesses by their number in bits 5:4 (SDM vol. 3, table 27-3). */
export const CR_ACCESS = { write: 0, read: 1, clts: 2, lmsw: 3 } as const;

/**
 * CR access (table 27-3):
 *
 *   31..16       11..8   6           5..4   3..0
 *  |LMSW source| gpr  |LMSW memory | type |number|
 */
export const crQualification = (
  cr: number,
  type: keyof typeof CR_ACCESS,
  gpr: number,
  lmswSource: number,
  lmswMemory: boolean,
): bigint =>
  BigInt((cr | (CR_ACCESS[type] << 4) | (lmswMemory ? 1 << 6 : 0) | (gpr << 8) | ((lmswSource & 0xffff) << 16)) >>> 0);

/** MOV DR (table 27-4): number 2:0, direction 4 (1 = MOV from DR), general register 11:8. */
export const drQualification = (dr: number, write: boolean, gpr: number): bigint =>
  BigInt(dr | (write ? 0 : 1 << 4) | (gpr << 8));

export interface IoAccess {
  readonly write: boolean;
  readonly port: number;
  /** 1, 2 or 4. */
  readonly size: number;
  readonly string: boolean;
  readonly rep: boolean;
  readonly immediate: boolean;
}
/**
 * I/O instructions (table 27-5):
 *
 *   31..16  6          5    4       3        2..0
 *  | port |immediate| REP |string |IN = 1 |size − 1|
 */
export const ioQualification = (a: IoAccess): bigint =>
  BigInt(
    ((a.size - 1) |
      (a.write ? 0 : 8) |
      (a.string ? 16 : 0) |
      (a.rep ? 32 : 0) |
      (a.immediate ? 64 : 0) |
      (a.port << 16)) >>>
      0,
  );

/** Task switch (table 27-2): TSS selector 15:0, what began it 31:30. */
export const TASK_SWITCH_SOURCE = { call: 0, iret: 1, jmp: 2, idt: 3 } as const;
export const taskSwitchQualification = (selector: number, source: keyof typeof TASK_SWITCH_SOURCE): bigint =>
  BigInt((selector | (TASK_SWITCH_SOURCE[source] << 30)) >>> 0);
const TASK_SWITCH_SOURCES = [
  'call',
  'iret',
  'jmp',
  'idt',
] as const satisfies readonly (keyof typeof TASK_SWITCH_SOURCE)[];
/** What `taskSwitchQualification` put together. */
export const decodeTaskSwitch = (
  qualification: bigint,
): { readonly selector: number; readonly source: keyof typeof TASK_SWITCH_SOURCE } => ({
  selector: Number(qualification & 0xffffn),
  source: TASK_SWITCH_SOURCES[Number((qualification >> 30n) & 3n)] ?? 'call',
});

/**
 * An exception that the exception bitmap intercepts (27.2.2). `softwareLength`: bytes of the INT3, INTO or INT1 that raised it, undefined for the processor's own.
 * `qualification`: the linear address of #PF, the bits DR6 would gain of #DB, else 0.
 */
export function exceptionExit(
  vector: number,
  errorCode: number | undefined,
  softwareLength: number | undefined,
  qualification: bigint,
): VmExit {
  const type =
    softwareLength === undefined
      ? INTR_TYPE.HARD_EXCEPTION
      : vector === VECTOR.DB
        ? INTR_TYPE.PRIV_SW_EXCEPTION
        : INTR_TYPE.SOFT_EXCEPTION;
  return {
    reason: VMX_EXIT.EXCEPTION_NMI,
    qualification,
    interruptionInfo: interruptionInfo(errorCode === undefined ? { type, vector } : { type, vector, errorCode }),
    interruptionErrorCode: errorCode ?? 0,
    ...(softwareLength === undefined ? {} : { instructionLength: softwareLength }),
  };
}

const NMI_UNBLOCKED = 1 << 12;
/**
 * The exit of an IRET that had unblocked NMIs before it faulted (27.2.1 to 27.2.3): bit 12 of the interruption information, or of the qualification where it was an EPT violation or a
 * full page-modification log. Not to be asked where the exit interrupted the delivery of an event.
 */
export function withNmiUnblocked(exit: VmExit): VmExit {
  switch (exit.reason) {
    case VMX_EXIT.EXCEPTION_NMI: {
      const info = exit.interruptionInfo ?? 0;
      return (info & INTR_INFO.VECTOR_MASK) === VECTOR.DF
        ? exit
        : { ...exit, interruptionInfo: (info | INTR_INFO.UNBLOCK_NMI) >>> 0 };
    }
    case VMX_EXIT.EPT_VIOLATION:
    case VMX_EXIT.PML_FULL:
      return { ...exit, qualification: exit.qualification | BigInt(NMI_UNBLOCKED) };
    default:
      return exit;
  }
}

/** An NMI under "NMI exiting". */
export const nmiExit = (): VmExit => ({
  reason: VMX_EXIT.EXCEPTION_NMI,
  qualification: 0n,
  interruptionInfo: interruptionInfo({ type: INTR_TYPE.NMI_INTR, vector: VECTOR.NMI }),
});

/** An external interrupt; `vector` only with "acknowledge interrupt on exit". */
export const externalInterruptExit = (vector: number | undefined): VmExit => ({
  reason: VMX_EXIT.EXTERNAL_INTERRUPT,
  qualification: 0n,
  ...(vector === undefined ? {} : { interruptionInfo: interruptionInfo({ type: INTR_TYPE.EXT_INTR, vector }) }),
});

/** Whether the exit is by an NMI itself: it blocks further NMIs in root operation (27.5.5). */
export const isNmiExit = (exit: VmExit): boolean =>
  exit.reason === VMX_EXIT.EXCEPTION_NMI &&
  (((exit.interruptionInfo ?? 0) >>> INTR_INFO.TYPE_SHIFT) & INTR_INFO.TYPE_MASK) === INTR_TYPE.NMI_INTR;
