import { hex } from '../../base/hex';
import { Vmcb } from '../../hw/svm/vmcb';
import { describeBits, type DecodedBits } from '../../isa/bit-layout';
import { FRAME_MASK } from '../../isa/entries';
import { EVENT, VMCB_FIELDS, type VmcbArea, type VmcbField, type VmcbFieldName } from '../../isa/vmcb-fields';
import { decodeVmcbField } from '../../isa/vmcb-layouts';
import type { ControlStructure } from '../../model/control-structure';
import type { ControlImages } from '../../vmm/exits/control-images';
import { unmetOf } from '../guest/entry-checks';
import type { GuestView } from '../guest/view';
import type { ViewPage } from '../types';
import { controlField, fieldRow, type ControlField, type FieldState } from './control-field';
import { bitsRow, page, row, type ViewRequest } from './view';

/** The areas of a VMCB in the manual's words (AMD APM vol. 2, appendix B), and the checks of VMRUN that it does not meet. */
const AREAS: readonly { readonly area: VmcbArea; readonly name: string }[] = [
  { area: 'control', name: 'Control Area' },
  { area: 'save', name: 'State-Save Area' },
];
const CHECKS = 'checks';

const HPA_FIELDS: ReadonlySet<string> = new Set(['IOPM_BASE_PA', 'MSRPM_BASE_PA', 'N_CR3']);
const GVA_FIELDS = /^(RIP|RSP|[A-Z]+_BASE|[LC]STAR|SYSENTER_E.P)$/;

/** The VMCB of the last VMRUN by area, each field with its offset. Saved guest state is as the last #VMEXIT left it: while the guest runs, its registers are in the CPU. */
export function vmcbView(
  g: GuestView,
  { path, start, count }: ViewRequest,
  images: ControlImages,
): ViewPage | undefined {
  const { vmcb } = g.cpu.svm;
  if (vmcb === undefined)
    return path.length > 0
      ? undefined
      : {
          nodes: [row({ path: 'vmcb/none', name: 'VMCB', value: 'no VMRUN has been executed', kind: 'text' })],
          total: 1,
        };
  const [area, name] = path;
  if (area === undefined) {
    const groups = AREAS.map((a) =>
      row({
        path: `vmcb/${a.area}`,
        name: a.name,
        value: noteOf(g, a.area),
        kind: 'group',
        children: VMCB_FIELDS.filter((f) => f.area === a.area).length,
      }),
    );
    const unmet = unmetOf(g);
    const all = row({
      path: `vmcb/${CHECKS}`,
      name: 'VMRUN Checks',
      value: unmet.length === 0 ? 'all met' : `${unmet.length} not met`,
      kind: 'group',
      children: unmet.length,
    });
    return page([...groups, all], start, count, (n) => n);
  }
  if (area === CHECKS) {
    if (name !== undefined) return undefined;
    return page([...unmetOf(g).entries()], start, count, ([i, c]) =>
      row({
        path: `vmcb/${CHECKS}/${i}`,
        name: c.fields.join(', '),
        value: `not met: ${c.message}`,
        kind: 'text',
        detail: [c.section],
      }),
    );
  }
  const inArea = VMCB_FIELDS.filter((f) => f.area === area);
  const before = beforeOf(vmcb, images);
  if (name === undefined)
    return inArea.length === 0
      ? undefined
      : page(inArea, start, count, (f) => fieldRow(fieldOf(vmcb, f, before), before && stateOf(before, f)));
  const field = path.length === 2 ? inArea.find((f) => f.name === name) : undefined;
  if (!field) return undefined;
  const old = before && decoded(before, field);
  return page(decoded(vmcb, field), start, count, (d) => bitsRow(`vmcb/${area}/${name}`, d, old));
}

const decoded = (vmcb: Vmcb, f: VmcbField): readonly DecodedBits[] =>
  decodeVmcbField(f.name, vmcb.read(f.name), Number(BigInt.asIntN(64, vmcb.read('EXITCODE'))));

/** Fields whose other bits mean nothing without the valid bit. */
const EVENT_FIELDS: ReadonlySet<VmcbFieldName> = new Set(['EXITINTINFO', 'EVENTINJ']);

function fieldOf(vmcb: Vmcb, f: VmcbField, before: Vmcb | undefined): ControlField {
  const now = stateOf(vmcb, f);
  const { value } = now;
  const space = HPA_FIELDS.has(f.name) ? 'hpa' : f.name === 'CR3' ? 'gpa' : GVA_FIELDS.test(f.name) ? 'gva' : undefined;
  const naming = {
    path: `vmcb/${f.area}/${f.name}`,
    name: f.name,
    meaning: EVENT_FIELDS.has(f.name) && (value & EVENT.VALID) === 0n ? 'not valid' : describeBits(now.bits),
    about: [f.manualName, `offset ${hex(f.offset)}`],
    editable: refusal(f) === undefined,
    ...(space ? { address: { space, value: space === 'gva' ? value : value & FRAME_MASK } as const } : {}),
  };
  // a field that is one number has its meaning beside it
  const parts = now.bits.length > 1 ? now.bits : [];
  return controlField(naming, { value, bits: parts }, before && stateOf(before, f));
}
const stateOf = (vmcb: Vmcb, f: VmcbField): FieldState => ({ value: vmcb.read(f.name), bits: decoded(vmcb, f) });

/** The VMCB whole, as the panel shows it. Undefined: there is none. */
export function vmcbStructure(g: GuestView, images: ControlImages): ControlStructure<bigint> | undefined {
  const { vmcb } = g.cpu.svm;
  if (vmcb === undefined) return undefined;
  const before = beforeOf(vmcb, images);
  return {
    kind: 'vmcb',
    areas: AREAS.map(({ area, name }) => ({
      id: area,
      name,
      note: noteOf(g, area),
      fields: VMCB_FIELDS.filter((f) => f.area === area).map((f) => fieldOf(vmcb, f, before)),
    })),
    unmet: unmetOf(g).map(({ fields, message, section }) => ({ fields, what: message, source: section })),
  };
}
const noteOf = (g: GuestView, area: VmcbArea): string =>
  area === 'save' && g.inGuest ? 'as of the last #VMEXIT; the CPU holds the present values' : '';
function beforeOf(vmcb: Vmcb, images: ControlImages): Vmcb | undefined {
  const image = images.before(vmcb.address);
  return image && new Vmcb(image, vmcb.address);
}

/** What #VMEXIT stores. */
const EXIT_FIELDS: ReadonlySet<VmcbFieldName> = new Set([
  'EXITCODE',
  'EXITINFO1',
  'EXITINFO2',
  'EXITINTINFO',
  'NRIP',
  'INSN_LENGTH',
]);
/** What KVM stores before every VMRUN from copies of its own (svm_vcpu_run). */
const STORED_AT_ENTRY: ReadonlySet<VmcbFieldName> = new Set(['RAX', 'RSP', 'RIP', 'CR2', 'DR6', 'CLEAN']);

/** Why a field cannot be set by hand; undefined: it can. */
function refusal(f: VmcbField): string | undefined {
  if (EXIT_FIELDS.has(f.name)) return `${f.name} is what #VMEXIT tells: the CPU writes it`;
  if (STORED_AT_ENTRY.has(f.name)) return `KVM stores ${f.name} anew before every VMRUN`;
  return undefined;
}

/** Sets a field as a store of the hypervisor's would; it takes effect at the next VMRUN, since this CPU caches nothing that clean bits could vouch for. The result: why not. */
export function writeVmcbField(g: GuestView, name: string, value: bigint): string | undefined {
  const { vmcb } = g.cpu.svm;
  const field = VMCB_FIELDS.find((f) => f.name === name);
  if (!vmcb || !field) return `there is no field ${name} now`;
  const why = refusal(field);
  if (why !== undefined) return why;
  const width = field.bytes * 8;
  if (BigInt.asUintN(width, value) !== value) return `${name} has ${width} bits, ${hex(value)} is wider`;
  vmcb.write(field.name, value);
  g.refresh();
  return undefined;
}
