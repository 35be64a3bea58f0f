/** The methods that one guest can run under, as options of its machine. */
import type { MachineOptions } from '../../../src/vmm/options';

/** Host memory that shadow roots of PAE guests can lie in. */
const BELOW_4G = 0x4000_0000n;
export const METHODS = {
  ept: { mmu: 'ept' },
  npt: { mmu: 'npt', cpu: 'pagewalk-svm' },
  'shadow:classic': { mmu: 'shadow', shadow: 'classic', hostBase: BELOW_4G },
  'shadow:modern': { mmu: 'shadow', shadow: 'modern', hostBase: BELOW_4G },
  software: { mmu: 'software' },
} as const satisfies Readonly<Record<string, Partial<MachineOptions>>>;
export type MethodName = keyof typeof METHODS;
export const METHOD_NAMES = Object.keys(METHODS) as readonly MethodName[];
