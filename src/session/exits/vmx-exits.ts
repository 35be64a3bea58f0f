/** A VM exit as the VMCS tells it: decoded, put in words, and as the facts that conditions ask about. */
import { hex } from '../../base/hex';
import { EPT_QUALIFICATION } from '../../hw/vmx/ept-exit';
import type { Vmcs } from '../../hw/vmx/vmcs';
import { SHADOW_FAULTS, type ShadowFaultKind } from '../../kvm/mmu/shadow/fault';
import { PF_ERROR, VECTOR, pfErrorNames, vectorName } from '../../isa/exceptions';
import { VMX_EXIT, vmxExitName } from '../../isa/exits';
import { decodeQualification } from '../../isa/exit-qualification';
import { msrName } from '../../isa/msrs';
import { FIELD } from '../../isa/vmcs-fields';
import type { ExprValue } from '../../expr/index';
import type { GuestView } from '../guest/view';
import { denialWords, failingLevel, misconfigurationWords } from './second-level';
import type { TitledExit } from './titled-exit';
import type { ExitView } from '../types';

const RCX = 1;
const has = (q: bigint, bit: number): boolean => (q & BigInt(bit)) !== 0n;
/** The interruption-information field (SDM vol. 3, 24.9.2): valid 31, error code valid 11, type 10:8, vector 7:0. */
const vectorOf = (info: number): number => info & 0xff;

interface RawExit {
  readonly reason: number;
  readonly qualification: bigint;
  readonly gpa: bigint | undefined;
  readonly gva: bigint | undefined;
  readonly length: number;
  readonly interruptionInfo: number;
  readonly errorCode: number;
}

function rawExit(vmcs: Vmcs): RawExit {
  const reason = vmcs.read32(FIELD.VM_EXIT_REASON) & 0xffff;
  const qualification = vmcs.read(FIELD.EXIT_QUALIFICATION);
  const violation = reason === VMX_EXIT.EPT_VIOLATION;
  const pageFault = reason === VMX_EXIT.EXCEPTION_NMI && vectorOf(vmcs.read32(FIELD.VM_EXIT_INTR_INFO)) === 14;
  return {
    reason,
    qualification,
    gpa: violation || reason === VMX_EXIT.EPT_MISCONFIG ? vmcs.read(FIELD.GUEST_PHYSICAL_ADDRESS) : undefined,
    gva:
      violation && has(qualification, EPT_QUALIFICATION.GLA_VALID)
        ? vmcs.read(FIELD.GUEST_LINEAR_ADDRESS)
        : pageFault || reason === VMX_EXIT.INVLPG
          ? qualification
          : undefined,
    length: vmcs.read32(FIELD.VM_EXIT_INSTRUCTION_LEN),
    interruptionInfo: vmcs.read32(FIELD.VM_EXIT_INTR_INFO),
    errorCode: vmcs.read32(FIELD.VM_EXIT_INTR_ERROR_CODE),
  };
}

/** The exit that the current VMCS records. `count`: its number since the start. */
export function readVmxExit(g: GuestView, vmcs: Vmcs, count: number): ExitView {
  const x = rawExit(vmcs);
  const slot = x.gpa === undefined ? undefined : (g.physical.slotOf(x.gpa)?.slot ?? -1);
  const fault = shadowFault(g, x);
  return {
    count,
    name: vmxExitName(x.reason),
    reason: x.reason,
    qualification: x.qualification,
    decoded: decodeQualification(x.reason, x.qualification, vectorOf(x.interruptionInfo)).map((d) => ({
      name: d.name,
      value: d.text ?? String(d.value),
    })),
    rip: vmcs.read(FIELD.GUEST_RIP),
    linearRip: g.linearRip,
    ...(x.gva === undefined ? {} : { gva: x.gva }),
    ...(x.gpa === undefined ? {} : { gpa: x.gpa }),
    ...(slot === undefined ? {} : { slot }),
    ...(fault === undefined ? {} : { fault }),
    instructions: g.retired,
    why: why(g, x),
  };
}

/** Of a #PF exit under shadow paging: which kind it is. */
function shadowFault(g: GuestView, x: RawExit): ShadowFaultKind | undefined {
  const { second } = g.accelerator;
  return second.kind === 'shadow' && x.reason === VMX_EXIT.EXCEPTION_NMI && vectorOf(x.interruptionInfo) === VECTOR.PF
    ? second.classify(x.qualification, x.errorCode).kind
    : undefined;
}

/** What a condition may ask of the exit; facts that it has not are absent. */
export function vmxExitFacts(g: GuestView, vmcs: Vmcs, count: number): ReadonlyMap<string, ExprValue> {
  const x = rawExit(vmcs);
  const q = x.qualification;
  const facts = new Map<string, ExprValue>([
    ['reason', BigInt(x.reason)],
    ['qualification', q],
    ['count', BigInt(count)],
    ['instructions', BigInt(g.retired)],
    ['length', BigInt(x.length)],
    ['read', false],
    ['write', false],
    ['fetch', false],
    ['table_walk', false],
  ]);
  if (x.gva !== undefined) facts.set('gva', x.gva);
  if (x.gpa !== undefined) {
    facts.set('gpa', x.gpa);
    facts.set('slot', BigInt.asUintN(64, BigInt(g.physical.slotOf(x.gpa)?.slot ?? -1)));
    facts.set('level', BigInt(failingLevel(g, x.gpa, opOf(q))));
  }
  switch (x.reason) {
    case VMX_EXIT.EPT_VIOLATION:
      facts.set('read', has(q, EPT_QUALIFICATION.READ));
      facts.set('write', has(q, EPT_QUALIFICATION.WRITE));
      facts.set('fetch', has(q, EPT_QUALIFICATION.FETCH));
      facts.set('table_walk', onTableWalk(q));
      break;
    case VMX_EXIT.IO_INSTRUCTION:
      facts.set('port', (q >> 16n) & 0xffffn);
      facts.set('size', (q & 7n) + 1n);
      facts.set('read', has(q, 8));
      facts.set('write', !has(q, 8));
      break;
    case VMX_EXIT.CR_ACCESS:
      facts.set('cr', q & 0xfn);
      facts.set('read', ((q >> 4n) & 3n) === 1n);
      facts.set('write', ((q >> 4n) & 3n) !== 1n);
      break;
    case VMX_EXIT.MSR_READ:
    case VMX_EXIT.MSR_WRITE:
      facts.set('msr', BigInt.asUintN(32, g.state.get(RCX)));
      facts.set('read', x.reason === VMX_EXIT.MSR_READ);
      facts.set('write', x.reason === VMX_EXIT.MSR_WRITE);
      break;
    case VMX_EXIT.EXCEPTION_NMI: {
      facts.set('vector', BigInt(vectorOf(x.interruptionInfo)));
      facts.set('error_code', BigInt(x.errorCode));
      const kind = shadowFault(g, x);
      if (kind !== undefined) {
        for (const k of SHADOW_FAULTS) facts.set(k === 'guest' ? 'guest_fault' : k, kind === k);
        facts.set('write', ((x.errorCode >> PF_ERROR.W) & 1) === 1);
        facts.set('fetch', ((x.errorCode >> PF_ERROR.I) & 1) === 1);
      }
      break;
    }
  }
  return facts;
}

const FAULT_WORDS: Readonly<Record<ShadowFaultKind, string>> = {
  guest: "The guest's own tables refuse the access: KVM injects the #PF into the guest.",
  mmio: 'No memslot gives RAM for it: KVM emulates the instruction and hands the access to the VMM.',
  tracing:
    'It writes to a page table of the guest, which is write-protected so that KVM sees it: KVM emulates the instruction and drops the shadow entry.',
  dirty:
    "The guest's entry was clean, so the shadow entry was read-only: KVM sets the guest's D flag and allows writes.",
  hidden: "The guest's tables allow the access: KVM fills the shadow entry, and the guest never learns of the fault.",
};

/** Linear address valid, and the access was to a guest table entry rather than to the address's own translation (SDM vol. 3, table 27-7). */
const onTableWalk = (q: bigint): boolean =>
  has(q, EPT_QUALIFICATION.GLA_VALID) && !has(q, EPT_QUALIFICATION.GLA_TRANSLATED);

/** A line for status bars: `EPT_VIOLATION, write, GPA 0x5000`. */
export function vmxExitTitle(x: TitledExit): string {
  const q = x.qualification;
  switch (x.reason) {
    case VMX_EXIT.EPT_VIOLATION:
      return `${x.name}, ${onTableWalk(q) ? 'guest table entry' : opOf(q)}, GPA ${hex(x.gpa ?? 0n)}`;
    case VMX_EXIT.EPT_MISCONFIG:
      return `${x.name}, GPA ${hex(x.gpa ?? 0n)}`;
    case VMX_EXIT.IO_INSTRUCTION:
      return `${x.name}, ${has(q, 8) ? 'in' : 'out'}, port ${hex((q >> 16n) & 0xffffn)}`;
    case VMX_EXIT.CR_ACCESS:
      return `${x.name}, CR${q & 0xfn}`;
    case VMX_EXIT.EXCEPTION_NMI:
      return x.fault === undefined
        ? x.name
        : `${x.name}, #PF ${x.fault === 'guest' ? "of the guest's own" : `(${x.fault})`}, GVA ${hex(x.gva ?? 0n)}`;
    default:
      return x.name;
  }
}

/** Of an EPT violation. A table entry that is accessed as a write has both bits (SDM vol. 3, table 27-7). */
const opOf = (q: bigint): 'read' | 'write' | 'fetch' =>
  has(q, EPT_QUALIFICATION.FETCH) ? 'fetch' : has(q, EPT_QUALIFICATION.WRITE) ? 'write' : 'read';

/** What happened, why that exits, and what the hypervisor will do about it. */
function why(g: GuestView, x: RawExit): string {
  const q = x.qualification;
  switch (x.reason) {
    case VMX_EXIT.EPT_VIOLATION: {
      const gpa = x.gpa ?? 0n;
      const what = onTableWalk(q)
        ? `The CPU was loading an entry of the guest's page tables at GPA ${hex(gpa)}, on the way to GVA ${hex(x.gva ?? 0n)}`
        : `The guest's ${opOf(q)} of GVA ${hex(x.gva ?? 0n)} led to GPA ${hex(gpa)}`;
      const rights = (['READABLE', 'WRITABLE', 'EXECUTABLE'] as const)
        .filter((r) => has(q, EPT_QUALIFICATION[r]))
        .map((r) => r.toLowerCase());
      const level = failingLevel(g, gpa, opOf(q));
      const entry =
        rights.length === 0
          ? `where the EPT has no mapping (level ${level})`
          : `which the EPT makes only ${rights.join(', ')}`;
      return `${what}, ${entry}.${denialWords(g, gpa, opOf(q))} ${handling(g, gpa, has(q, EPT_QUALIFICATION.WRITE) && !onTableWalk(q))}`;
    }
    case VMX_EXIT.EPT_MISCONFIG:
      return `The EPT entry for GPA ${hex(x.gpa ?? 0n)} has bits that no entry may have (${misconfigurationWords(g, x.gpa ?? 0n) ?? 'no more now'}): KVM marks device memory so. KVM emulates the instruction and hands the access to the VMM as KVM_EXIT_MMIO.`;
    case VMX_EXIT.IO_INSTRUCTION: {
      const inward = has(q, 8);
      return `${inward ? 'IN from' : 'OUT to'} port ${hex((q >> 16n) & 0xffffn)}, ${(q & 7n) + 1n} byte(s)${has(q, 16) ? ', a string instruction' : ''}: KVM intercepts every port. It goes out to the VMM as KVM_EXIT_IO.`;
    }
    case VMX_EXIT.HLT:
      return 'HLT exits because of the "HLT exiting" control. With interrupts off nothing can wake the VCPU, and the run ends.';
    case VMX_EXIT.CPUID:
      return `CPUID always exits in VMX non-root operation. KVM answers leaf ${hex(BigInt.asUintN(32, g.state.get(0)))} from its own table.`;
    case VMX_EXIT.VMCALL:
      return `VMCALL: a hypercall, number ${hex(g.state.get(0))} in RAX.`;
    case VMX_EXIT.CR_ACCESS: {
      const type = Number((q >> 4n) & 3n);
      return `${['MOV to', 'MOV from', 'CLTS on', 'LMSW on'][type] ?? 'Access to'} CR${q & 0xfn}: it concerns a bit that the guest/host mask gives to the host.`;
    }
    case VMX_EXIT.MSR_READ:
    case VMX_EXIT.MSR_WRITE: {
      const index = Number(BigInt.asUintN(32, g.state.get(RCX)));
      const name = msrName(index);
      return `${x.reason === VMX_EXIT.MSR_READ ? 'RDMSR' : 'WRMSR'} of ${hex(index)}${name ? ` (${name})` : ''}: its bit in the MSR bitmap is set, or it lies outside the bitmap's ranges.`;
    }
    case VMX_EXIT.EXCEPTION_NMI: {
      const vector = vectorOf(x.interruptionInfo);
      const code =
        vector === 14
          ? `, error code ${hex(x.errorCode)} (${pfErrorNames(x.errorCode).join(' ')}), address ${hex(q)}`
          : '';
      const kind = shadowFault(g, x);
      const cause = kind === undefined ? '' : ` ${FAULT_WORDS[kind]}`;
      return `${vectorName(vector)}${code}: its bit in the exception bitmap is set.${cause}`;
    }
    case VMX_EXIT.EXTERNAL_INTERRUPT:
      return `An interrupt of the host, vector ${hex(vectorOf(x.interruptionInfo))}, arrived while the guest ran; the "external-interrupt exiting" control makes it exit. The host handles it and the guest goes on. KVM itself sends one (a kick) where a VCPU must flush its TLB before it uses memory that the host takes back.`;
    case VMX_EXIT.PML_FULL:
      return 'The page-modification log has no entry left for the page that is about to become dirty. KVM takes the logged pages into the dirty bitmap, and the write runs again.';
    case VMX_EXIT.TRIPLE_FAULT:
      return 'Delivering an exception failed, delivering #DF for that failed too: a triple fault. On a bare machine this is a reset. Look at the IDT and at the stack that handlers run on.';
    default:
      return `The guest did something that the VMCS's controls intercept: ${vmxExitName(x.reason)}.`;
  }
}

function handling(g: GuestView, gpa: bigint, write: boolean): string {
  const slot = g.physical.slotOf(gpa);
  if (!slot)
    return 'No memslot holds that GPA: it is device memory to KVM, which emulates the instruction and hands the access to the VMM as KVM_EXIT_MMIO.';
  if (slot.readOnly && write)
    return `Memslot ${slot.slot} is read-only: KVM hands the write to the VMM as KVM_EXIT_MMIO, and no entry changes.`;
  return `Memslot ${slot.slot} maps it to HVA ${hex(slot.hva + (gpa - slot.gpa))}. KVM finds the host page there, writes the EPT entry, and the instruction runs again.`;
}
