/**
 * What the debug target shows to those who drive it (the debug adapter, the command line). Everything here is plain, deeply
 * readonly and structured-cloneable; addresses and register values are bigints, and become hex strings in wire/.
 */
export type { Step } from '../trace/step';
import type { Space } from '../base/address';
import type { ExitCause } from '../kvm/exit-cause';
import type { ShadowFaultKind } from '../kvm/mmu/shadow/fault';
import type { FaultInChain } from '../vmm/fault-reasons';
export type { FaultInChain } from '../vmm/fault-reasons';
import type { MmuKind } from '../vmm/options';
import type { DriftMark } from './tables/drift';

/** A place in a source file; line and column are 1-based. `file` is spelled as the launch spelled it. */
export interface Location {
  readonly file: string;
  readonly line: number;
  readonly column?: number;
}

/** An address together with the space that it is an address of. */
export interface SpaceAddress {
  readonly space: Space;
  readonly value: bigint;
}

// --- breakpoints ---------------------------------------------------------------------------------------------------------

/** The clauses that every kind of breakpoint may carry, as texts of the condition language (src/expr). */
export interface BreakClauses {
  readonly condition?: string;
  /** `5` or `== 5`: the fifth time; `> 5`, `>= 5`, `< 5`, `<= 5`, `% 5`: as they say, counted over hits whose condition held. */
  readonly hitCondition?: string;
  /** Logs instead of stopping; expressions stand in braces. */
  readonly logMessage?: string;
}
export interface SourceBreakpoint extends BreakClauses {
  readonly line: number;
}
export interface InstructionBreakpoint extends BreakClauses {
  /** Linear address. */
  readonly address: bigint;
}
/** A label, or `exit:NAME` for VM exits of a reason (`exit:*`: of any). */
export interface FunctionBreakpoint extends BreakClauses {
  readonly name: string;
}
/** `vm-exit`, `ept-violation`, `guest-pf`, `guest-exception`: see EXCEPTION_FILTERS. */
export interface ExceptionFilter {
  readonly filter: FilterName;
  readonly condition?: string;
}

/** What the session made of a breakpoint: where it lies, or why it cannot. */
export interface BreakpointView {
  readonly id: number;
  readonly verified: boolean;
  readonly message?: string;
  readonly location?: Location;
  readonly address?: bigint;
}

export type FilterName = 'vm-exit' | 'ept-violation' | 'guest-pf' | 'guest-exception';

/** The exception filters offered, with what a person reads beside the check box, under any method; exception-filters.ts has the words of each. */
export const EXCEPTION_FILTERS: readonly {
  readonly filter: FilterName;
  readonly label: string;
  readonly description: string;
  readonly conditionDescription: string;
}[] = [
  {
    filter: 'vm-exit',
    label: 'VM exit',
    description:
      'Stops at each VM exit, before the hypervisor handles it. Under shadow paging a #PF exit is one of hidden, tracing, dirty, mmio and guest_fault: conditions may ask which.',
    conditionDescription: 'for example: reason == CPUID || reason == EPT_VIOLATION && gpa >= 0x5000 || tracing',
  },
  {
    filter: 'ept-violation',
    label: 'EPT violation, NPF or hidden #PF',
    description:
      'Stops at faults that the guest never sees: EPT violations and misconfigurations, under NPT nested page faults, and under shadow paging #PF exits that are not the guest’s own. Those are hidden, tracing, dirty or mmio: conditions may ask which.',
    conditionDescription: 'for example: write && slot == 1, or under shadow paging: tracing || dirty',
  },
  {
    filter: 'guest-pf',
    label: 'Guest #PF',
    description:
      "Stops when a page fault is delivered to the guest: the guest's own, not one that only the hypervisor sees. Under shadow paging all page faults exit, and KVM injects the guest's own.",
    conditionDescription: 'for example: write && !present && address < 0x1000',
  },
  {
    filter: 'guest-exception',
    label: 'Guest exception',
    description:
      'Stops when an exception of any vector is delivered to the guest, with the check that failed. INT n is not one.',
    conditionDescription: 'for example: vector == 13 && error != 0, or: vector == UD',
  },
];

// --- stops ---------------------------------------------------------------------------------------------------------------

export type StopKind =
  | 'entry'
  | 'step'
  | 'pause'
  | 'breakpoint'
  | 'instruction-breakpoint'
  | 'function-breakpoint'
  | 'vm-exit'
  | 'ept-violation'
  | 'guest-pf'
  | 'guest-exception'
  /** An `@assert` of the guest file does not hold. */
  | 'assert'
  | 'triple-fault'
  | 'internal-error'
  | 'entry-failure'
  | 'limit';

/** A VM exit as the VMCS's exit-information fields tell it, decoded. */
export interface ExitView {
  /** Number of this exit since the start, from 1. */
  readonly count: number;
  /** `EPT_VIOLATION`, … */
  readonly name: string;
  readonly reason: number;
  readonly qualification: bigint;
  /** What the extension calls that, where it is no exit qualification. */
  readonly qualificationName?: 'EXITINFO1';
  /** The qualification's fields by their names in the manual. */
  readonly decoded: readonly { readonly name: string; readonly value: string }[];
  readonly cause: ExitCause;
  /** Guest RIP (an offset in CS) and the linear address of the instruction. */
  readonly rip: bigint;
  readonly linearRip: bigint;
  readonly gva?: bigint;
  readonly gpa?: bigint;
  /** The memslot that holds `gpa`; −1 in a hole. Absent where no GPA is concerned. */
  readonly slot?: number;
  /** Of a #PF exit under shadow paging: which of its kinds. */
  readonly fault?: ShadowFaultKind;
  /** Guest instructions retired before. */
  readonly instructions: number;
  /** In words: what happened, why it exits, and what the hypervisor will do. */
  readonly why: string;
}

export interface StopInfo {
  readonly kind: StopKind;
  /** One line for a status: `VM exit: EPT_VIOLATION, write, GPA 0x5000`. */
  readonly title: string;
  /** For the exception widget: some sentences. */
  readonly why: string;
  /** Ids of the breakpoints that were hit. */
  readonly breakpoints: readonly number[];
  /** Why the condition of one of them could not be evaluated. */
  readonly problem?: string;
  /** The machine cannot go on from here; it can be inspected. The next run ends the session. */
  readonly final: boolean;
  readonly exit?: ExitView;
  /** The guest's exceptions behind the stop, innermost last. */
  readonly reason?: readonly FaultInChain[];
}

/** How a run ended; `code` is the exit code of the command line (cli.md), and the debuggee's for an adapter. */
export interface EndInfo {
  readonly kind: 'halt' | 'idle' | 'exit-port' | 'triple-fault' | 'limit' | 'entry-failure' | 'internal-error';
  readonly code: number;
  readonly rip: bigint;
  readonly why: string;
  /** The guest stands where a BIOS would serve it, and there is none. */
  readonly unserved?: true;
  /** The guest's exceptions that led there, innermost last; empty where none did. */
  readonly reason: readonly FaultInChain[];
}

export type RunResult =
  /** The budget is used up; call `run` again after a turn of the event loop. */
  | { readonly kind: 'running' }
  | { readonly kind: 'stopped'; readonly stop: StopInfo }
  | { readonly kind: 'ended'; readonly end: EndInfo };

/** Texts that come out while the guest runs. What a device put out is bytes: each character stands for one. */
export interface Output {
  readonly channel: 'serial' | 'debugcon' | 'log';
  readonly text: string;
  readonly location?: Location;
}

// --- call stack ----------------------------------------------------------------------------------------------------------

export type Actor = 'guest' | 'cpu' | 'kvm' | 'host' | 'vmm';

export interface FrameView {
  /** Valid until the next run; 0 is the top frame. */
  readonly id: number;
  readonly kind: 'guest' | 'hypervisor';
  /** `handle_ept_violation`, `main+0x12`, `0x7c00`. */
  readonly name: string;
  readonly actor: Actor;
  readonly mode: string;
  /** Linear address of the instruction; guest frames only. */
  readonly address?: bigint;
  readonly location?: Location;
  /** Of a guest frame: how many guest frames lie above it. */
  readonly level?: number;
  /** A hypervisor frame's generated document: get its text by `session.document(id)`. */
  readonly document?: { readonly id: number; readonly name: string; readonly line: number };
}

// --- views ---------------------------------------------------------------------------------------------------------------

/**
 * A node of a view: what the Variables view shows as a row and the trees as an item. Children are asked for by path, a page at
 * a time. Paths are stable from stop to stop: `guest/0xff/0x28`, `vmcs/guest/GUEST_CR3`, `registers/rax`.
 */
export interface ViewNode {
  readonly path: string;
  readonly name: string;
  readonly value: string;
  /** The same for a narrow place, what matters most first; absent where `value` serves. */
  readonly brief?: string;
  /** Its kind, for icons and menus. */
  readonly kind:
    'group' | 'register' | 'field' | 'table' | 'page' | 'large-page' | 'slot' | 'hole' | 'range' | 'tlb' | 'text';
  /** The address that the row is about, for translating: the first one that a table entry maps. */
  readonly address?: SpaceAddress;
  /** What a memory view shows for the row: the page or table that an entry points to, or what `address` names. */
  readonly memory?: SpaceAddress;
  /** The raw number (entry, register, field). */
  readonly raw?: bigint;
  /** Of a field of VMCS or VMCB, and of its parts: what it was as the VM exit before the last one left it. */
  readonly before?: { readonly raw: bigint; readonly value: string };
  /** Of an entry of guest or shadow tables under shadow paging: how the two stand to each other (session/tables/drift.ts). */
  readonly marks?: readonly DriftMark[];
  /** What it means, line by line (Markdown-free). */
  readonly detail?: readonly string[];
  /** How many children; 0: a leaf. */
  readonly children: number;
  /** `setValue` accepts this path. */
  readonly editable: boolean;
  /** An expression that evaluates to this row's value. */
  readonly evaluateName?: string;
  /** What a reader must know of the value, which ends with it: a register of the top frame, shown in a caller's. */
  readonly mark?: string;
}
export interface ViewPage {
  readonly nodes: readonly ViewNode[];
  readonly total: number;
}

/** The roots that `session.view` knows, in the order of the Variables scopes. `mmu`: only where guest memory is virtualized in one of these ways. */
export const VIEW_ROOTS = [
  { path: 'registers', name: 'Registers', expensive: false },
  { path: 'flags', name: 'Flags', expensive: false },
  { path: 'segments', name: 'Segments', expensive: false },
  { path: 'control', name: 'Control State', expensive: false },
  { path: 'sse', name: 'SSE', expensive: true },
  { path: 'x87', name: 'x87', expensive: true },
  { path: 'msrs', name: 'MSRs', expensive: true },
  { path: 'guest', name: 'Guest Page Tables', expensive: true },
  { path: 'shadow', name: 'Shadow Page Tables', expensive: true, mmu: ['shadow'] },
  { path: 'ept', name: 'EPT', expensive: true, mmu: ['ept'] },
  { path: 'npt', name: 'NPT', expensive: true, mmu: ['npt'] },
  { path: 'host', name: 'Host Page Tables', expensive: true },
  { path: 'vmcs', name: 'VMCS', expensive: true, mmu: ['ept', 'shadow'] },
  { path: 'vmcb', name: 'VMCB', expensive: true, mmu: ['npt'] },
  { path: 'memslots', name: 'Memslots', expensive: true, mmu: ['ept', 'npt', 'shadow'] },
  { path: 'memslots', name: 'Memory Regions', expensive: true, mmu: ['software'] },
  { path: 'tlb', name: 'TLB', expensive: true, mmu: ['ept', 'npt', 'shadow'] },
  { path: 'tlb', name: 'Software TLB', expensive: true, mmu: ['software'] },
  { path: 'devices', name: 'Devices', expensive: true },
  { path: 'stats', name: 'Statistics', expensive: true },
  { path: 'exits', name: 'VM Exits', expensive: true, mmu: ['ept', 'npt', 'shadow'] },
] as const satisfies readonly ViewRoot[];
interface ViewRoot {
  readonly path: string;
  readonly name: string;
  readonly expensive: boolean;
  readonly mmu?: readonly MmuKind[];
}
export const viewRootsOf = (mmu: MmuKind): readonly ViewRoot[] =>
  (VIEW_ROOTS as readonly ViewRoot[]).filter((r) => r.mmu === undefined || r.mmu.includes(mmu));

/** The views that show what each guest frame has its own of. */
const FRAME_VIEWS: readonly string[] = ['registers', 'flags', 'sse', 'x87'];
/** The path of a view as the guest frame of a level has it: `registers@2/rax`. The top frame's are the plain ones, and so are the VCPU's own. */
export function viewInFrame(path: string, level: number): string {
  const [root = '', ...below] = path.split('/');
  return level > 0 && FRAME_VIEWS.includes(root) ? [`${root}@${level}`, ...below].join('/') : path;
}
/** The plain root that a root stands for, and the level of the frame; level 0: the top one. */
export function frameOfRoot(root: string): { readonly view: string; readonly level: number } {
  const [, view = '', level = '0'] = /^(\w+)@([1-9]\d{0,3})$/.exec(root) ?? [];
  return FRAME_VIEWS.includes(view) ? { view, level: Number(level) } : { view: root, level: 0 };
}

// --- values --------------------------------------------------------------------------------------------------------------

export interface Evaluation {
  /** For a reader: `0x2a = 42`, or a monitor command's lines. */
  readonly text: string;
  /** What a reader must know of the value, which the text ends with: that a register in it is the top frame's. */
  readonly mark?: string;
  readonly value?: bigint;
  /** A memory operand's own address, else the value where it may serve as one. */
  readonly address?: SpaceAddress;
  readonly kind: 'register' | 'memory' | 'label' | 'constant' | 'number' | 'boolean' | 'expression' | 'text';
  readonly symbol?: string;
  /** The path of the view that shows its parts. */
  readonly view?: string;
  /** The machine is not what it was before: views are to be asked again. */
  readonly changed?: true;
}

export interface DisassembledLine {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly text: string;
  readonly valid: boolean;
  readonly symbol?: string;
  readonly location?: Location;
}

/** Bytes read from `address` on, up to the first unreadable one. */
export interface MemoryRead {
  readonly address: SpaceAddress;
  readonly bytes: Uint8Array;
  /** How many bytes after those cannot be read, up to the next that can or the end of what was asked for. */
  readonly unreadable: number;
}
