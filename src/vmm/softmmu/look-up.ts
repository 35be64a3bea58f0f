import { gpa as asGpa, gva as asGva } from '../../base/address';
import { hex } from '../../base/hex';
import { cost } from '../../trace/costs';
import { vmmStep, type Step } from '../../trace/step';
import type { LookUp } from '../../hw/cpu/platform';
import type { Access } from '../../hw/paging/access';
import { slotHva, type Memslots } from '../../kvm/memslots';

const OP = { read: 'a read of', write: 'a write to', fetch: 'a fetch from' } as const;

/**
 * QEMU's softmmu on a TLB miss (accel/tcg/cputlb.c, target/i386/tcg/sysemu/excp_helper.c): tlb_fill calls the target,
 * which walks the guest's tables; tlb_set_page_full finds the memory region and fills the entry. The accelerator
 * counts the cycles.
 */
export function lookUpSteps(regions: Memslots, linear: bigint, access: Access, found: LookUp): readonly Step[] {
  const who = access.user ? 'user' : 'supervisor';
  const fill = vmmStep(
    'tlb_fill',
    `the software TLB has no entry for ${OP[access.op]} GVA ${hex(linear)} (${who})`,
    cost('softTlbLookup'),
    { addresses: { gva: asGva(linear) } },
  );
  if (found.kind === 'fault') {
    const what = `mmu_translate walks the guest's tables, which do not allow it: raise_exception_err`;
    return [fill, vmmStep('x86_cpu_tlb_fill', what, cost('softTlbFill'), { addresses: { gva: asGva(linear) } })];
  }
  const gpa = asGpa(found.gpa);
  const addresses = { gva: asGva(linear), gpa };
  const walked =
    found.levels === 0
      ? `paging is off: GVA ${hex(linear)} is GPA ${hex(gpa)}`
      : `mmu_translate walks ${found.levels} levels of the guest's tables: GPA ${hex(gpa)}`;
  const slot = regions.find(gpa);
  const inRam = found.kind === 'memory' && slot !== undefined;
  const region = inRam
    ? `GPA ${hex(gpa)} is in region ${slot.id}${slot.readonly ? ', read-only' : ''}, at HVA ${hex(slotHva(slot, gpa))}`
    : `GPA ${hex(gpa)} is in no RAM region: accesses go to the device there, if there is one`;
  const entered = inRam ? { ...addresses, hva: slotHva(slot, gpa) } : addresses;
  return [
    fill,
    vmmStep('x86_cpu_tlb_fill', walked, cost('softTlbFill'), { addresses }),
    vmmStep('address_space_translate_for_iotlb', region, 0, { addresses: entered }),
    inRam
      ? vmmStep('tlb_set_page_full', `enters the page of GVA ${hex(linear)} into the software TLB`, 0, {
          addresses: entered,
        })
      : vmmStep(
          'tlb_set_page_full',
          `marks the page of GVA ${hex(linear)} TLB_MMIO: each access takes the slow way`,
          0,
          { addresses },
        ),
  ];
}
