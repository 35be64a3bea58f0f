import { decodeBits } from '../../isa/bit-layout';
import { decodeQualification } from '../../isa/exit-qualification';
import { exitInfo1Layout } from '../../isa/vmcb-layouts';
import { INTR_INFO } from '../../isa/vmcs-controls';
import type { RecordedExit } from '../../kvm/exit-cause';

/** The fields of exit qualification or EXITINFO1 by their names in the manual; empty where the exit has none. */
export function qualificationParts(x: RecordedExit): readonly { readonly name: string; readonly value: string }[] {
  const layout = x.of === 'vmcb' ? exitInfo1Layout(x.reason) : undefined;
  const parts =
    x.of === 'vmcs'
      ? decodeQualification(x.reason, x.qualification, x.interruptionInfo & INTR_INFO.VECTOR_MASK)
      : layout
        ? decodeBits(layout, x.qualification)
        : [];
  return parts.map((d) => ({ name: d.name, value: d.text ?? String(d.value) }));
}
