import { gpa, type Gpa } from '../base/address';
import { invariant } from '../base/assert';
import { EPT_QUALIFICATION as Q } from '../hw/vmx/ept-exit';
import { VMX_EXIT } from '../isa/exits';
import { SVM_EXIT, SVM_EXIT_BASE } from '../isa/svm-exits';
import { INTR_INFO } from '../isa/vmcs-controls';
import { NPF } from '../isa/vmcb-fields';
import type { PageFault } from './mmu/fault';

/** An access that EPT or NPT stopped, as KVM's MMU takes it, with what else hardware says of it. */
export interface SecondLevelFault extends PageFault {
  readonly kind: 'second-level';
  /** False for a misconfiguration, of whose access hardware says nothing. */
  readonly read: boolean;
  /** To a paging-structure entry of the guest, on the way to the linear address's own page. */
  readonly tableWalk: boolean;
  /** What the entries used allow together: 1 reads, 2 writes, 4 fetches. SVM does not say. */
  readonly rights?: number;
}
/** `gpr`: absent where the CPU does not say (SVM, of CLTS and LMSW). `source`: the operand of LMSW. */
export interface ControlRegisterCause {
  readonly kind: 'control-register';
  readonly cr: number;
  readonly access: 'write' | 'read' | 'clts' | 'lmsw';
  readonly gpr?: number;
  readonly source: number;
}
/** `size`: 1, 2 or 4 bytes. */
export interface PortCause {
  readonly kind: 'port';
  readonly port: number;
  readonly size: number;
  readonly input: boolean;
  readonly string: boolean;
}

/** What the guest did that exited, in the same words for VMX and SVM. */
export type ExitCause =
  | SecondLevelFault
  | ControlRegisterCause
  | PortCause
  | { readonly kind: 'msr'; readonly write: boolean }
  | { readonly kind: 'exception'; readonly vector: number; readonly errorCode: number }
  /** Of the host's. */
  | { readonly kind: 'interrupt'; readonly vector: number }
  | { readonly kind: 'other' };

const OTHER: ExitCause = { kind: 'other' };
const MSR_READ: ExitCause = { kind: 'msr', write: false };
const MSR_WRITE: ExitCause = { kind: 'msr', write: true };
const CR_ACCESSES = ['write', 'read', 'clts', 'lmsw'] as const;

/** What hardware recorded of an exit, as far as its cause follows from it: fields of the VMCS, or of the VMCB. */
export interface RecordedExit {
  readonly of: 'vmcs' | 'vmcb';
  readonly reason: number;
  /** Exit qualification, or EXITINFO1. */
  readonly qualification: bigint;
  /** Of EPT violations, misconfigurations and nested page faults. */
  readonly gpa: Gpa | undefined;
  /** VMX: the interruption-information field. */
  readonly interruptionInfo: number;
  readonly interruptionErrorCode?: number;
}

/** The one decoding of an exit: KVM's handlers, conditions, titles and explanations all go by it. */
export const exitCause = (x: RecordedExit): ExitCause => (x.of === 'vmcs' ? vmxCause(x) : svmCause(x));

type CauseOf<K extends ExitCause['kind']> = Extract<ExitCause, { readonly kind: K }>;
/** The cause of an exit whose reason admits only this kind. */
export function causeOfKind<K extends ExitCause['kind']>(
  { cause }: { readonly cause: ExitCause },
  kind: K,
): CauseOf<K> {
  invariant(cause.kind === kind, `an exit that a handler of ${kind} gets is decoded as one`);
  return cause as CauseOf<K>;
}

function vmxCause(x: RecordedExit): ExitCause {
  switch (x.reason) {
    case VMX_EXIT.EPT_VIOLATION:
      return eptViolation(Number(x.qualification), x.gpa ?? gpa(0n));
    case VMX_EXIT.EPT_MISCONFIG:
      return {
        ...{ kind: 'second-level', gpa: x.gpa ?? gpa(0n), read: false, write: false, exec: false },
        ...{ tableWalk: false, present: true, rsvd: true },
      };
    case VMX_EXIT.IO_INSTRUCTION:
      return ioInstruction(Number(x.qualification));
    case VMX_EXIT.CR_ACCESS:
      return controlRegisterCause(x.qualification);
    case VMX_EXIT.MSR_READ:
      return MSR_READ;
    case VMX_EXIT.MSR_WRITE:
      return MSR_WRITE;
    case VMX_EXIT.EXCEPTION_NMI: {
      const vector = x.interruptionInfo & INTR_INFO.VECTOR_MASK;
      return { kind: 'exception', vector, errorCode: x.interruptionErrorCode ?? 0 };
    }
    case VMX_EXIT.EXTERNAL_INTERRUPT:
      return { kind: 'interrupt', vector: x.interruptionInfo & INTR_INFO.VECTOR_MASK };
    default:
      return OTHER;
  }
}

/** SDM vol. 3, table 27-7 (drawn in hw/vmx/ept-exit). An entry of the guest that is accessed as a write has both bits. */
function eptViolation(q: number, at: Gpa): SecondLevelFault {
  const rights = (q & (Q.READABLE | Q.WRITABLE | Q.EXECUTABLE)) / Q.READABLE;
  return {
    kind: 'second-level',
    gpa: at,
    read: (q & Q.READ) !== 0,
    write: (q & Q.WRITE) !== 0,
    exec: (q & Q.FETCH) !== 0,
    tableWalk: (q & (Q.GLA_VALID | Q.GLA_TRANSLATED)) === Q.GLA_VALID,
    present: rights !== 0,
    rsvd: false,
    rights,
  };
}

/**
 * Exit qualification of I/O instructions (SDM vol. 3, table 27-5):
 *
 *   31..16  6          5    4       3        2..0
 *  | port |immediate| REP |string |IN = 1 |size − 1|
 */
const ioInstruction = (q: number): PortCause => ({
  kind: 'port',
  port: (q >>> 16) & 0xffff,
  size: (q & 7) + 1,
  input: (q & 8) !== 0,
  string: (q & 16) !== 0,
});

/**
 * The exit qualification of a control-register access (SDM vol. 3, table 27-3):
 *
 *   31..16       11..8   6           5..4   3..0
 *  |LMSW source| gpr  |LMSW memory | type |number|
 */
export function controlRegisterCause(qualification: bigint): ControlRegisterCause {
  const q = Number(qualification);
  return {
    kind: 'control-register',
    cr: q & 15,
    access: CR_ACCESSES[(q >>> 4) & 3] ?? 'write',
    gpr: (q >>> 8) & 15,
    source: q >>> 16,
  };
}

function svmCause({ reason, qualification: info1, gpa: at }: RecordedExit): ExitCause {
  if (reason === SVM_EXIT.NPF) return nestedFault(info1, at ?? gpa(0n));
  if (reason === SVM_EXIT.IOIO) return ioio(Number(BigInt.asUintN(32, info1)));
  if (reason === SVM_EXIT.MSR) return info1 === 0n ? MSR_READ : MSR_WRITE;
  if (reason === SVM_EXIT.CR0_SEL_WRITE) return movCr(0, 'write', info1);
  if (reason < 0) return OTHER;
  if (reason < SVM_EXIT_BASE.CR_WRITE) return movCr(reason, 'read', info1);
  if (reason < SVM_EXIT_BASE.DR_READ) return movCr(reason - SVM_EXIT_BASE.CR_WRITE, 'write', info1);
  const vector = reason - SVM_EXIT_BASE.EXCP;
  return vector >= 0 && vector < 32
    ? { kind: 'exception', vector, errorCode: Number(BigInt.asUintN(32, info1)) }
    : OTHER;
}

/** EXITINFO1 of a nested page fault is the error code already (APM vol. 2, 15.25.6). */
function nestedFault(info1: bigint, at: Gpa): SecondLevelFault {
  const code = Number(BigInt.asUintN(32, info1));
  const has = (bit: bigint): boolean => (code & Number(bit)) !== 0;
  const write = has(NPF.W);
  const exec = has(NPF.ID);
  const tableWalk = (info1 & NPF.TABLE_WALK) !== 0n;
  return {
    ...{ kind: 'second-level', gpa: at, read: !write && !exec, write, exec },
    ...{ tableWalk, present: has(NPF.P), rsvd: has(NPF.RSVD) },
  };
}

/** EXITINFO1 (APM vol. 2, 15.10.2): the port in 31:16, the size as one of bits 6:4, STR in 2, IN in 0. */
const ioio = (info1: number): PortCause => ({
  kind: 'port',
  port: (info1 >>> 16) & 0xffff,
  size: (info1 & 0x40) !== 0 ? 4 : (info1 & 0x20) !== 0 ? 2 : 1,
  input: (info1 & 1) !== 0,
  string: (info1 & 4) !== 0,
});

/** Decode assists (APM vol. 2, 15.8.1): bit 63 of EXITINFO1 says MOV, its low bits name the general register. */
const movCr = (cr: number, access: 'read' | 'write', info1: bigint): ControlRegisterCause => ({
  kind: 'control-register',
  cr,
  access,
  source: 0,
  ...(info1 >> 63n === 0n ? {} : { gpr: Number(info1 & 15n) }),
});
