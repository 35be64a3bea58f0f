/** The hypercall instruction: one on Intel processors, another on AMD's; each is #UD on the other vendor's. */
export interface Hypercall {
  readonly name: 'VMCALL' | 'VMMCALL';
  readonly bytes: readonly number[];
}
const VMCALL: Hypercall = { name: 'VMCALL', bytes: [0x0f, 0x01, 0xc1] };
const VMMCALL: Hypercall = { name: 'VMMCALL', bytes: [0x0f, 0x01, 0xd9] };

/** This processor's own (patch_hypercall), and the other vendor's. */
export const HYPERCALLS = {
  vmx: { own: VMCALL, foreign: VMMCALL },
  svm: { own: VMMCALL, foreign: VMCALL },
} as const satisfies Readonly<Record<'vmx' | 'svm', { readonly own: Hypercall; readonly foreign: Hypercall }>>;

/** Whether an instruction's bytes are this hypercall, without prefixes. */
export const isHypercall = (code: Uint8Array, { bytes }: Hypercall): boolean =>
  code.length === bytes.length && bytes.every((b, i) => code[i] === b);
