/** A #VMEXIT as the VMCB tells it: decoded, put in words, and as the facts that conditions ask about. */
import { hex } from '../../base/hex';
import type { Vmcb } from '../../hw/svm/vmcb';
import { decodeBits } from '../../isa/bit-layout';
import { vectorName } from '../../isa/exceptions';
import { msrName } from '../../isa/msrs';
import { SVM_EXIT, SVM_EXIT_BASE, svmExitName } from '../../isa/svm-exits';
import { NPF } from '../../isa/vmcb-fields';
import { exitInfo1Layout } from '../../isa/vmcb-layouts';
import type { ExprValue } from '../../expr/index';
import type { GuestView } from '../guest/view';
import { denialWords, failingLevel } from './second-level';
import type { TitledExit } from './titled-exit';
import type { ExitView } from '../types';

const RCX = 1;

interface RawExit {
  readonly code: number;
  readonly info1: bigint;
  readonly info2: bigint;
  readonly gpa: bigint | undefined;
  readonly length: number;
}

function rawExit(vmcb: Vmcb): RawExit {
  const code = Number(BigInt.asIntN(64, vmcb.read('EXITCODE')));
  const info2 = vmcb.read('EXITINFO2');
  const next = vmcb.read('NRIP');
  const rip = vmcb.read('RIP');
  return {
    code,
    info1: vmcb.read('EXITINFO1'),
    info2,
    gpa: code === SVM_EXIT.NPF ? info2 : undefined,
    length: next > rip ? Number(next - rip) : 0,
  };
}
const has = (q: bigint, bit: bigint): boolean => (q & bit) !== 0n;
const isException = (code: number): boolean => code >= SVM_EXIT_BASE.EXCP && code < SVM_EXIT_BASE.EXCP + 32;
/** MOV to or from a control register: which, and whether it is a write. */
function controlAccess(code: number): { readonly cr: number; readonly write: boolean } | undefined {
  if (code === SVM_EXIT.CR0_SEL_WRITE) return { cr: 0, write: true };
  return code >= 0 && code < 0x20 ? { cr: code & 15, write: code >= 0x10 } : undefined;
}

/** The exit that the VMCB records. `count`: its number since the start. */
export function readSvmExit(g: GuestView, vmcb: Vmcb, count: number): ExitView {
  const x = rawExit(vmcb);
  const slot = x.gpa === undefined ? undefined : (g.physical.slotOf(x.gpa)?.slot ?? -1);
  const layout = exitInfo1Layout(x.code);
  return {
    count,
    name: svmExitName(x.code),
    reason: x.code,
    qualification: x.info1,
    qualificationName: 'EXITINFO1',
    decoded: layout ? decodeBits(layout, x.info1).map((d) => ({ name: d.name, value: d.text ?? String(d.value) })) : [],
    rip: vmcb.read('RIP'),
    linearRip: g.linearRip,
    ...(x.gpa === undefined ? {} : { gpa: x.gpa }),
    ...(slot === undefined ? {} : { slot }),
    instructions: g.retired,
    why: why(g, x),
  };
}

/** What a condition may ask of the exit; facts that it has not are absent. */
export function svmExitFacts(g: GuestView, vmcb: Vmcb, count: number): ReadonlyMap<string, ExprValue> {
  const x = rawExit(vmcb);
  const facts = new Map<string, ExprValue>([
    ['reason', BigInt.asUintN(64, BigInt(x.code))],
    ['qualification', x.info1],
    ['count', BigInt(count)],
    ['instructions', BigInt(g.retired)],
    ['length', BigInt(x.length)],
    ['read', false],
    ['write', false],
    ['fetch', false],
    ['table_walk', false],
  ]);
  if (x.gpa !== undefined) {
    facts.set('gpa', x.gpa);
    facts.set('slot', BigInt.asUintN(64, BigInt(g.physical.slotOf(x.gpa)?.slot ?? -1)));
    facts.set('level', BigInt(failingLevel(g, x.gpa, opOf(x.info1))));
    facts.set('read', !has(x.info1, NPF.W | NPF.ID));
    facts.set('write', has(x.info1, NPF.W));
    facts.set('fetch', has(x.info1, NPF.ID));
    facts.set('table_walk', has(x.info1, NPF.TABLE_WALK));
    facts.set('error_code', x.info1);
  }
  const control = controlAccess(x.code);
  if (control) {
    facts.set('cr', BigInt(control.cr));
    facts.set(control.write ? 'write' : 'read', true);
  } else if (x.code === SVM_EXIT.IOIO) {
    facts.set('port', (x.info1 >> 16n) & 0xffffn);
    facts.set('size', BigInt(portSize(x.info1)));
    facts.set('read', has(x.info1, 1n));
    facts.set('write', !has(x.info1, 1n));
  } else if (x.code === SVM_EXIT.MSR) {
    facts.set('msr', BigInt.asUintN(32, g.state.get(RCX)));
    facts.set('read', x.info1 === 0n);
    facts.set('write', x.info1 !== 0n);
  } else if (isException(x.code)) {
    facts.set('vector', BigInt(x.code - SVM_EXIT_BASE.EXCP));
    facts.set('error_code', x.info1);
  }
  return facts;
}

const portSize = (info1: bigint): number => (has(info1, 0x40n) ? 4 : has(info1, 0x20n) ? 2 : 1);

const opOf = (info1: bigint): 'read' | 'write' | 'fetch' =>
  has(info1, NPF.ID) && !has(info1, NPF.TABLE_WALK) ? 'fetch' : has(info1, NPF.W) ? 'write' : 'read';

/** A line for status bars: `NPF, write, GPA 0x5000`. */
export function svmExitTitle(x: TitledExit): string {
  const q = x.qualification;
  if (x.reason === SVM_EXIT.NPF)
    return `${x.name}, ${has(q, NPF.TABLE_WALK) ? 'guest table entry' : opOf(q)}, GPA ${hex(x.gpa ?? 0n)}`;
  if (x.reason === SVM_EXIT.IOIO) return `${x.name}, ${has(q, 1n) ? 'in' : 'out'}, port ${hex((q >> 16n) & 0xffffn)}`;
  return x.name;
}

/** What happened, why that exits, and what the hypervisor will do about it. */
function why(g: GuestView, x: RawExit): string {
  const q = x.info1;
  const control = controlAccess(x.code);
  if (control) {
    const selective = x.code === SVM_EXIT.CR0_SEL_WRITE;
    return selective
      ? 'MOV to CR0 changes a bit other than TS and MP, which the selective intercept lets exit.'
      : `MOV ${control.write ? 'to' : 'from'} CR${control.cr}: its bit in the intercepts of control registers is set.`;
  }
  if (isException(x.code))
    return `${vectorName(x.code - SVM_EXIT_BASE.EXCP)}: its bit in the exception intercepts is set.`;
  switch (x.code) {
    case SVM_EXIT.NPF: {
      const gpa = x.gpa ?? 0n;
      const what = has(q, NPF.TABLE_WALK)
        ? `The CPU was loading an entry of the guest's page tables at GPA ${hex(gpa)}, which counts as a user's write`
        : `The guest's ${opOf(q)} led to GPA ${hex(gpa)}`;
      const level = failingLevel(g, gpa, opOf(q));
      if (has(q, NPF.RSVD))
        return `${what}, whose nested entry has a reserved bit set: KVM marks device memory so. KVM emulates the instruction and hands the access to the VMM as KVM_EXIT_MMIO.`;
      const entry = has(q, NPF.P)
        ? 'whose nested entry lacks the right'
        : `where the nested tables have no mapping (level ${level})`;
      return `${what}, ${entry}.${denialWords(g, gpa, opOf(q))} ${handling(g, gpa, has(q, NPF.W) && !has(q, NPF.TABLE_WALK))}`;
    }
    case SVM_EXIT.IOIO:
      return `${has(q, 1n) ? 'IN from' : 'OUT to'} port ${hex((q >> 16n) & 0xffffn)}, ${portSize(q)} byte(s)${has(q, 4n) ? ', a string instruction' : ''}: KVM's I/O permission map has every port. It goes out to the VMM as KVM_EXIT_IO.`;
    case SVM_EXIT.HLT:
      return 'HLT exits because its intercept is set. With interrupts off nothing can wake the VCPU, and the run ends.';
    case SVM_EXIT.CPUID:
      return `CPUID exits because its intercept is set. KVM answers leaf ${hex(BigInt.asUintN(32, g.state.get(0)))} from its own table.`;
    case SVM_EXIT.VMMCALL:
      return `VMMCALL: a hypercall, number ${hex(g.state.get(0))} in RAX.`;
    case SVM_EXIT.MSR: {
      const index = Number(BigInt.asUintN(32, g.state.get(RCX)));
      const name = msrName(index);
      return `${q === 0n ? 'RDMSR' : 'WRMSR'} of ${hex(index)}${name ? ` (${name})` : ''}: its bit in the MSR permission map is set, or it lies outside the map's ranges.`;
    }
    case SVM_EXIT.INTR:
      return 'An interrupt of the host arrived while the guest ran. The host handles it when GIF is set again, and the guest goes on. KVM itself sends one (a kick) where a VCPU must flush its TLB before it uses memory that the host takes back.';
    case SVM_EXIT.VINTR:
      return 'The guest can take an interrupt now: KVM set a virtual interrupt and its intercept to learn of it.';
    case SVM_EXIT.SHUTDOWN:
      return 'Delivering an exception failed, delivering #DF for that failed too: a shutdown. On a bare machine this is a reset. Look at the IDT and at the stack that handlers run on.';
    default:
      return `The guest did something that the VMCB's intercepts let exit: ${svmExitName(x.code)}.`;
  }
}

function handling(g: GuestView, gpa: bigint, write: boolean): string {
  const slot = g.physical.slotOf(gpa);
  if (!slot)
    return 'No memslot holds that GPA: it is device memory to KVM, which emulates the instruction and hands the access to the VMM as KVM_EXIT_MMIO.';
  if (slot.readOnly && write)
    return `Memslot ${slot.slot} is read-only: KVM hands the write to the VMM as KVM_EXIT_MMIO, and no entry changes.`;
  return `Memslot ${slot.slot} maps it to HVA ${hex(slot.hva + (gpa - slot.gpa))}. KVM finds the host page there, writes the nested entry, and the instruction runs again.`;
}
