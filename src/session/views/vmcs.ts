import { bit } from '../../base/bits';
import { hex } from '../../base/hex';
import { supportedFields } from '../../hw/vmx/fields';
import { Vmcs } from '../../hw/vmx/vmcs';
import { describeBits, type DecodedBits } from '../../isa/bit-layout';
import { FRAME_MASK } from '../../isa/entries';
import { decodeQualification } from '../../isa/exit-qualification';
import { decodeField } from '../../isa/vmcs-layouts';
import { FIELD, vmcsFieldByName, type VmcsArea, type VmcsField } from '../../isa/vmcs-fields';
import type { ControlStructure } from '../../model/control-structure';
import type { ControlImages } from '../../vmm/exits/control-images';
import { unmetOf, type UnmetEntryCheck } from '../guest/entry-checks';
import type { GuestView } from '../guest/view';
import type { ViewNode, ViewPage } from '../types';
import { controlField, fieldRow, type ControlField, type FieldState } from './control-field';
import { bitsRow, page, row, type ViewRequest } from './view';

/** The areas of a VMCS in the manual's order and words (SDM vol. 3, 24.3). */
const AREAS: readonly { readonly area: VmcsArea; readonly name: string }[] = [
  { area: 'guest', name: 'Guest State' },
  { area: 'host', name: 'Host State' },
  { area: 'control', name: 'Controls' },
  { area: 'exit', name: 'Exit Information' },
];

/** The path of the group of unmet checks. */
const CHECKS = 'checks';

/** Fields that hold a physical address of the host's. */
const HPA_FIELDS =
  /^(IO_BITMAP_|MSR_BITMAP$|EPT_POINTER$|HOST_CR3$|VM_.*_MSR_.*_ADDR$|PML_ADDRESS$|VIRTUAL_APIC_PAGE_ADDR$|APIC_ACCESS_ADDR$)/;
const GPA_FIELDS = /^(GUEST_CR3$|GUEST_PHYSICAL_ADDRESS$|GUEST_PDPTR)/;
const GVA_FIELDS = /^(GUEST_RIP|GUEST_RSP|GUEST_LINEAR_ADDRESS|GUEST_[A-Z]+_BASE|GUEST_SYSENTER_E.P)$/;

/**
 * The current VMCS by area, each field with its encoding. Guest-state fields are as the last VM exit saved them: while the guest runs, its
 * registers are in the CPU, and the rows say so. `images`: as the last exits left it.
 */
export function vmcsView(
  g: GuestView,
  { path, start, count }: ViewRequest,
  images: ControlImages,
): ViewPage | undefined {
  const vmcs = g.cpu.vmx.current;
  const fields = supportedFields(g.cpu.vmx.capabilities);
  if (vmcs === undefined)
    return path.length > 0
      ? undefined
      : {
          nodes: [row({ path: 'vmcs/none', name: 'VMCS', value: 'there is no current VMCS', kind: 'text' })],
          total: 1,
        };
  const [area] = path;
  if (area === CHECKS) return path.length === 1 ? page(unmetOf(g), start, count, checkRow) : undefined;
  if (area === undefined) {
    return page([...AREAS, undefined], start, count, (a) => {
      if (!a) return checksRow(unmetOf(g));
      return row({
        path: `vmcs/${a.area}`,
        name: a.name,
        value: noteOf(g, a.area),
        kind: 'group',
        children: fields.filter((f) => f.area === a.area).length,
      });
    });
  }
  const [, name] = path;
  const inArea = fields.filter((f) => f.area === area);
  const before = beforeOf(vmcs, images);
  if (name === undefined)
    return inArea.length === 0
      ? undefined
      : page(inArea, start, count, (f) => fieldRow(fieldOf(g, vmcs, f, before), before && stateOf(before, f)));
  const field = path.length === 2 ? inArea.find((f) => f.name === name) : undefined;
  if (!field) return undefined;
  const old = before && decoded(before, field);
  return page(decoded(vmcs, field), start, count, (d) => bitsRow(`vmcs/${area}/${name}`, d, old));
}

/** The named bits of a field; those of the exit qualification depend on the exit's reason. */
function decoded(vmcs: Vmcs, f: VmcsField): readonly DecodedBits[] {
  const value = vmcs.read(f.encoding);
  if (f.name !== 'EXIT_QUALIFICATION') return decodeField(f, value);
  return decodeQualification(vmcs.read32(FIELD.VM_EXIT_REASON), value, vmcs.read32(FIELD.VM_EXIT_INTR_INFO) & 0xff);
}

/** Interruption information says nothing without its valid bit (SDM vol. 3, 24.8.3 and 24.9.2). */
const INTERRUPTION_INFO: ReadonlySet<string> = new Set([
  'VM_EXIT_INTR_INFO',
  'VM_ENTRY_INTR_INFO_FIELD',
  'IDT_VECTORING_INFO_FIELD',
]);
const VALID = 1n << 31n;

function fieldOf(g: GuestView, vmcs: Vmcs, f: VmcsField, before: Vmcs | undefined): ControlField {
  const now = stateOf(vmcs, f);
  const { value } = now;
  const space = HPA_FIELDS.test(f.name)
    ? 'hpa'
    : GPA_FIELDS.test(f.name)
      ? 'gpa'
      : GVA_FIELDS.test(f.name)
        ? 'gva'
        : undefined;
  const width = f.width === 'natural' ? 'natural width' : `${f.width} bits`;
  const isFrame = space !== 'gva' && f.name !== 'GUEST_PHYSICAL_ADDRESS';
  const naming = {
    path: `vmcs/${f.area}/${f.name}`,
    name: f.name,
    meaning: INTERRUPTION_INFO.has(f.name) && (value & VALID) === 0n ? 'not valid' : describeBits(now.bits),
    about: [f.title, `encoding ${hex(f.encoding)}, ${width}`],
    editable: refusal(g, f) === undefined,
    ...(space === undefined ? {} : { address: { space, value: isFrame ? value & FRAME_MASK : value } as const }),
  };
  return controlField(naming, now, before && stateOf(before, f));
}
const stateOf = (vmcs: Vmcs, f: VmcsField): FieldState => ({ value: vmcs.read(f.encoding), bits: decoded(vmcs, f) });

/** The current VMCS whole, as the panel shows it. Undefined: there is none. */
export function vmcsStructure(g: GuestView, images: ControlImages): ControlStructure<bigint> | undefined {
  const vmcs = g.cpu.vmx.current;
  if (vmcs === undefined) return undefined;
  const fields = supportedFields(g.cpu.vmx.capabilities);
  const before = beforeOf(vmcs, images);
  return {
    kind: 'vmcs',
    areas: AREAS.map(({ area, name }) => ({
      id: area,
      name,
      note: noteOf(g, area),
      fields: fields.filter((f) => f.area === area).map((f) => fieldOf(g, vmcs, f, before)),
    })),
    unmet: unmetOf(g).map(({ fields: about, message, section }) => ({ fields: about, what: message, source: section })),
  };
}
const noteOf = (g: GuestView, area: VmcsArea): string =>
  area === 'guest' && g.inGuest ? 'as of the last VM exit; the CPU holds the present values' : '';
function beforeOf(vmcs: Vmcs, images: ControlImages): Vmcs | undefined {
  const image = images.before(vmcs.address);
  return image && new Vmcs(image, vmcs.address);
}

const checksRow = (unmet: readonly UnmetEntryCheck[]): ViewNode =>
  row({
    path: `vmcs/${CHECKS}`,
    name: 'VM-Entry Checks',
    value: unmet.length === 0 ? 'all met' : `${unmet.length} not met: the next VM entry fails`,
    kind: 'group',
    children: unmet.length,
  });

const checkRow = (u: UnmetEntryCheck, index: number): ViewNode =>
  row({
    path: `vmcs/${CHECKS}/${index}`,
    name: u.fields.join(', '),
    value: u.message,
    kind: 'text',
    detail: [u.section],
  });

/** IA32_VMX_MISC: VMWRITE writes to any field (SDM vol. 3, A.6). */
const MISC_VMWRITE_ANY = 29;

/** Why a field cannot be set by hand; undefined: it can. */
function refusal(g: GuestView, f: VmcsField): string | undefined {
  if (f.area === 'exit' && !bit(g.cpu.vmx.capabilities.misc, MISC_VMWRITE_ANY))
    return `${f.name} is VM-exit information: the CPU writes it`;
  return undefined;
}

/** Sets a field as VMWRITE would; it takes effect at the next VM entry. The result: why not. */
export function writeVmcsField(g: GuestView, name: string, value: bigint): string | undefined {
  const vmcs = g.cpu.vmx.current;
  const field = vmcsFieldByName(name);
  if (!vmcs || !field) return `there is no field ${name} now`;
  const why = refusal(g, field);
  if (why !== undefined) return why;
  const width = field.width === 'natural' ? 64 : field.width;
  if (BigInt.asUintN(width, value) !== value) return `${name} has ${width} bits, ${hex(value)} is wider`;
  vmcs.write(field.encoding, value);
  g.refresh();
  return undefined;
}
