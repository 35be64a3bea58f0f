/** The exit that is being handled, as the extension that the guest runs on records it: in the VMCS, or in the VMCB. */
import type { ExprValue } from '../../expr/index';
import { vmxExitName } from '../../isa/exits';
import type { GuestView } from '../guest/view';
import { readSvmExit, svmExitFacts, svmExitTitle } from './svm-exits';
import type { TitledExit } from './titled-exit';
import type { ExitView } from '../types';
import { readVmxExit, vmxExitFacts, vmxExitTitle } from './vmx-exits';

/** `count`: its number since the start. Undefined: the guest runs on neither. */
export function readExit(g: GuestView, count: number): ExitView | undefined {
  const { vmcb } = g.cpu.svm;
  if (vmcb) return readSvmExit(g, vmcb, count);
  const vmcs = g.cpu.vmx.current;
  return vmcs && readVmxExit(g, vmcs, count);
}

/** What a condition may ask of the exit; facts that it has not are absent. */
export function exitFacts(g: GuestView, count: number): ReadonlyMap<string, ExprValue> {
  const { vmcb } = g.cpu.svm;
  if (vmcb) return svmExitFacts(g, vmcb, count);
  const vmcs = g.cpu.vmx.current;
  return vmcs ? vmxExitFacts(g, vmcs, count) : new Map();
}

/** A line for status bars: `EPT_VIOLATION, write, GPA 0x5000`. The name says which extension's reason it is. */
export const exitTitle = (x: TitledExit): string =>
  vmxExitName(x.reason) === x.name ? vmxExitTitle(x) : svmExitTitle(x);
