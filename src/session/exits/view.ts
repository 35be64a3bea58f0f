/** A VM exit as a stop shows it: what was decoded when KVM took it, and what the guest's state adds. */
import type { ExitInfo } from '../../kvm/exit-info';
import type { ShadowFaultKind } from '../../kvm/mmu/shadow/fault';
import { VECTOR } from '../../isa/exceptions';
import type { GuestView } from '../guest/view';
import type { ExitView } from '../types';
import { qualificationParts } from './qualification';
import { svmWhy } from './svm-words';
import { vmxWhy } from './vmx-words';

/** The exit that just happened. `count`: its number, from 1. */
export function viewExit(g: GuestView, exit: ExitInfo, count: number): ExitView {
  const { of, name, reason, qualification, cause, rip, linear, gva, gpa } = exit;
  const slot = gpa === undefined ? undefined : slotNumber(g, gpa);
  const fault = shadowFault(g, exit);
  return {
    count,
    name,
    reason,
    qualification,
    ...(of === 'vmcb' ? { qualificationName: 'EXITINFO1' } : {}),
    decoded: qualificationParts(exit),
    cause,
    rip,
    linearRip: linear,
    ...(gva === undefined ? {} : { gva }),
    ...(gpa === undefined ? {} : { gpa }),
    ...(slot === undefined ? {} : { slot }),
    ...(fault === undefined ? {} : { fault }),
    instructions: g.retired,
    why: of === 'vmcb' ? svmWhy(g, exit) : vmxWhy(g, exit, fault),
  };
}

/** The memslot of a GPA; −1 in a hole. */
export const slotNumber = (g: GuestView, gpa: bigint): number => g.physical.slotOf(gpa)?.slot ?? -1;

/** Of a #PF exit under shadow paging: which kind it is. */
export function shadowFault(g: GuestView, { cause, qualification }: ExitInfo): ShadowFaultKind | undefined {
  const { second } = g.accelerator;
  return second.kind === 'shadow' && cause.kind === 'exception' && cause.vector === VECTOR.PF
    ? second.classify(qualification, cause.errorCode).kind
    : undefined;
}
