import { hex } from '../../base/hex';
import { supportedFields } from '../../hw/vmx/fields';
import type { VmcsArea, VmcsField } from '../../isa/vmcs-fields';
import type { GuestView } from '../guest-view';
import type { ViewNode, ViewPage } from '../types';
import { page, row, type ViewRequest } from './view';

/** The areas of a VMCS in the manual's order and words (SDM vol. 3, 24.3). */
const AREAS: readonly { readonly area: VmcsArea; readonly name: string }[] = [
  { area: 'guest', name: 'Guest State' },
  { area: 'host', name: 'Host State' },
  { area: 'control', name: 'Controls' },
  { area: 'exit', name: 'Exit Information' },
];

/** Fields that hold a physical address of the host's. */
const HPA_FIELDS = /^(IO_BITMAP_|MSR_BITMAP$|EPT_POINTER$|HOST_CR3$|VM_.*_MSR_.*_ADDR$|PML_ADDRESS$|VIRTUAL_APIC_PAGE_ADDR$|APIC_ACCESS_ADDR$)/;
const GPA_FIELDS = /^(GUEST_CR3$|GUEST_PHYSICAL_ADDRESS$|GUEST_PDPTR)/;
const GVA_FIELDS = /^(GUEST_RIP|GUEST_RSP|GUEST_LINEAR_ADDRESS|GUEST_[A-Z]+_BASE|GUEST_SYSENTER_E.P)$/;

/**
 * The current VMCS by area, each field with its encoding. Guest-state fields are as the last VM exit saved them: while the guest runs, its
 * registers are in the CPU, and the rows say so.
 */
export function vmcsView(g: GuestView, { path, start, count }: ViewRequest): ViewPage | undefined {
  const vmcs = g.cpu.vmx.current;
  const fields = supportedFields(g.cpu.vmx.capabilities);
  if (vmcs === undefined) return path.length > 0 ? undefined : { nodes: [row({ path: 'vmcs/none', name: 'VMCS', value: 'there is no current VMCS', kind: 'text' })], total: 1 };
  const [area] = path;
  if (area === undefined) {
    return page(AREAS, start, count, (a) => {
      const stale = a.area === 'guest' && g.inGuest ? 'as of the last VM exit; the CPU holds the present values' : '';
      return row({ path: `vmcs/${a.area}`, name: a.name, value: stale, kind: 'group', children: fields.filter((f) => f.area === a.area).length });
    });
  }
  if (path.length > 1 || !AREAS.some((a) => a.area === area)) return undefined;
  return page(fields.filter((f) => f.area === area), start, count, (f) => fieldRow(f, vmcs.read(f.encoding)));
}

function fieldRow(f: VmcsField, value: bigint): ViewNode {
  const space = HPA_FIELDS.test(f.name) ? 'hpa' : GPA_FIELDS.test(f.name) ? 'gpa' : GVA_FIELDS.test(f.name) ? 'gva' : undefined;
  const width = f.width === 'natural' ? 'natural width' : `${f.width} bits`;
  const address = space === undefined ? {} : { address: { space, value: space === 'gva' || f.name === 'GUEST_PHYSICAL_ADDRESS' ? value : value & 0x000f_ffff_ffff_f000n } as const };
  return row({ path: `vmcs/${f.area}/${f.name}`, name: f.name, value: hex(value), raw: value, kind: 'field', ...address, detail: [f.title, `encoding ${hex(f.encoding)}, ${width}`] });
}
