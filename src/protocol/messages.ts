/**
 * The custom requests of the debug adapter, beyond the Debug Adapter Protocol. All of them are probes: none changes guest
 * memory, TLB, counters or A/D bits. All but those about lines and breakpoints are refused (a DAP error response) while the guest runs. Error responses carry
 * `showUser: false`: the view that asked says beside its own box what is wrong.
 *
 *   pagewalk/translate   the chain of an address
 *   pagewalk/hover       value and chain of what stands under the cursor in a source line
 *   pagewalk/tree        one page of children of a node of a table tree
 *   pagewalk/tlb         TLB and paging-structure caches, stale entries marked
 *   pagewalk/pagemap     GPA, HVA and HPA of each page, as the text of a file
 *   pagewalk/memoryMap   memslots, holes, VMAs, and guest memory as runs GPA | HVA | HPA
 *
 *   pagewalk/checkBreakpoint  what is wrong with a function breakpoint that somebody is typing
 *   pagewalk/edited      the present text of a source, so that lines of the running image are found in it
 *   pagewalk/lines       addresses and bytes of the running image by line
 *
 * and those of single panels: panels/<panel>.ts. Two events are sent: `pagewalk/problems` at each launch or restart, and `pagewalk/machine`
 * once the guest is launched.
 */
import type { Space } from '../base/address';
import type { MemoryMapArguments, MemoryMapReply } from './memory-map';
import type { ExitsRequests } from './panels/exits';
import type { PageTablesRequests } from './panels/page-tables';
import type { CompareRequests } from './panels/compare';
import type { StatisticsRequests } from './panels/statistics';
import type { VmcsRequests } from './panels/vmcs';
import type { TlbArguments, TlbReply } from './tlb';
import type { Hex, ReverseTranslation, Translation } from './translation';

export interface TranslateArguments {
  /** An expression of the Debug Console's language (`rsp`, `table+8`, `[rbx+8]`'s address as `rbx+8`) or a number. */
  readonly expression: string;
  readonly space: Space;
  /** Default read. */
  readonly access?: 'r' | 'w' | 'x';
  /** As from CPL 3; default: the guest's present privilege level. */
  readonly user?: boolean;
  readonly frameId?: number;
}
export interface TranslateReply {
  /** The value of the expression, in the space asked for. */
  readonly address: Hex;
  readonly space: Space;
  /** The symbol that the address lies at or after, as `table+0x8`. */
  readonly symbol?: string;
  /** The source line that the bytes at the address came from. */
  readonly source?: { readonly path: string; readonly line: number };
  readonly translation?: Translation;
  readonly reverse?: ReverseTranslation;
}

export interface HoverArguments {
  /** The source line's text, and the 1-based column (UTF-16) under the cursor. */
  readonly lineText: string;
  readonly column: number;
  readonly path?: string;
  readonly line?: number;
  readonly frameId?: number;
}
export interface HoverReply {
  /** The 1-based columns in the line of what the hover is about, end exclusive. */
  readonly start: number;
  readonly end: number;
  /** `instruction`: a mnemonic. */
  readonly about: 'operand' | 'instruction';
  /** The expression under the cursor; on a mnemonic, those of its operands that have a value. */
  readonly operands: readonly HoverOperand[];
}
export interface HoverOperand {
  readonly expression: string;
  /** What it is: decides how the hover reads. */
  readonly kind: 'register' | 'memory' | 'label' | 'constant' | 'number';
  /** The value as text, with the notations a reader would want (`0x2a = 42`). */
  readonly value: string;
  /** The address that the chain is of: a memory operand's own, otherwise the value. Absent where the value is not an address. */
  readonly address?: Hex;
  /** The space of `address`; with it. */
  readonly space?: Space;
  readonly symbol?: string;
  readonly translation?: Translation;
}

/** The trees of the Pagewalk views. */
export type TreeName = 'guest' | 'shadow' | 'ept' | 'npt' | 'memslots' | 'host';

export interface TreeArguments {
  readonly tree: TreeName;
  /** The node whose children are asked for; absent: the roots. */
  readonly node?: string;
  /** Paging: at most `count` children from the `start`th. */
  readonly start: number;
  readonly count: number;
}
export interface TreeNode {
  /** Names the node within its tree; the same path of indices keeps the same id from stop to stop. */
  readonly id: string;
  readonly label: string;
  /** Shown beside the label, paler. */
  readonly description?: string;
  /** Markdown: the decoded entry. */
  readonly tooltip?: string;
  readonly kind: 'root' | 'table' | 'page' | 'large-page' | 'slot' | 'hole' | 'range';
  /** An address that can be translated from here: the first one that the entry maps. */
  readonly address?: { readonly value: Hex; readonly space: Space };
  /** Of guest and shadow entries under shadow paging: `missing`, `stale`, `write-protected`, `unsync`, `mmio` (session/tables/drift.ts says what each means). */
  readonly marks?: readonly string[];
  /** What the row's menu may offer: verbs of the console's `host` and `memslot` commands that this page or slot would not refuse. */
  readonly actions?: readonly string[];
  /** The raw entry or base address, for copying. */
  readonly value?: Hex;
  readonly children: boolean;
}
export interface TreeReply {
  readonly nodes: readonly TreeNode[];
  /** How many children there are in all. */
  readonly total: number;
}

export interface PagemapArguments {
  /** As `pagewalk pagemap` prints it, without and with --json. */
  readonly format: 'text' | 'json';
}
export interface PagemapReply {
  readonly text: string;
  readonly pages: number;
}

export interface CheckBreakpointArguments {
  /** As in Function Breakpoints: a label, or `exit:NAME`. */
  readonly name: string;
  readonly condition?: string;
}
export interface CheckBreakpointReply {
  /** What the breakpoint's message would say; null: it could be set. */
  readonly problem: string | null;
}

export interface EditedArguments {
  readonly path: string;
  readonly text: string;
}
export interface EditedReply {
  /** It is one of the sources of the running image. */
  readonly isSource: boolean;
  /** It would assemble to another image: more has changed than comments and blanks. */
  readonly differs: boolean;
}

export interface LinesArguments {
  readonly path: string;
  /** The lines asked for, from 1, `to` included, as the text is now. */
  readonly from: number;
  readonly to: number;
}
/** What a line of the running image became; a line that has changed since has none. */
export interface ImageLine {
  readonly line: number;
  /** `7c00: fa 31 c0`. */
  readonly label: string;
  readonly tooltip: string;
}
export interface LinesReply {
  readonly lines: readonly ImageLine[];
}

/** The body of the event `pagewalk/machine`: what there is to look at. */
export interface MachineEvent {
  /** How guest memory is virtualized. */
  readonly mmu: 'ept' | 'npt' | 'shadow' | 'software';
  /** The sources that the image was made of, as paths. */
  readonly files: readonly string[];
  /** It was assembled at the launch, from these; else a compiler made it before. */
  readonly assembled: boolean;
}

/** A launch field of the extension's own: it shows what `pagewalk/problems` brings, so the client needs no dialog. */
export const REPORTS_PROBLEMS = '__reportsProblems';

/** One error or warning of a launch: in a source file, or (without a line) in the launch configuration or a whole file. */
export interface Problem {
  readonly severity: 'error' | 'warning' | 'info';
  /** `PW` and three digits. */
  readonly code: string;
  readonly message: string;
  /** A path; for a field of the launch configuration, absent. */
  readonly path?: string;
  /** Where in the file, 1-based, columns in UTF-16 units, the end exclusive. */
  readonly range?: {
    readonly line: number;
    readonly column: number;
    readonly endLine: number;
    readonly endColumn: number;
  };
}
/** The body of the event `pagewalk/problems`: what is wrong with what was launched, most of it or all. */
export interface ProblemsEvent {
  readonly problems: readonly Problem[];
  /** Of `problems` and of those beyond the limit. */
  readonly errors: number;
  /** Whether a guest stands ready; false: nothing was launched, and a running session goes on as it was. */
  readonly launched: boolean;
}

/** Request name → arguments and reply body. */
export interface Requests extends CompareRequests, ExitsRequests, PageTablesRequests, StatisticsRequests, VmcsRequests {
  'pagewalk/translate': { readonly arguments: TranslateArguments; readonly reply: TranslateReply };
  'pagewalk/hover': { readonly arguments: HoverArguments; readonly reply: HoverReply | null };
  'pagewalk/tree': { readonly arguments: TreeArguments; readonly reply: TreeReply };
  'pagewalk/tlb': { readonly arguments: TlbArguments; readonly reply: TlbReply };
  'pagewalk/pagemap': { readonly arguments: PagemapArguments; readonly reply: PagemapReply };
  'pagewalk/checkBreakpoint': { readonly arguments: CheckBreakpointArguments; readonly reply: CheckBreakpointReply };
  'pagewalk/edited': { readonly arguments: EditedArguments; readonly reply: EditedReply };
  'pagewalk/lines': { readonly arguments: LinesArguments; readonly reply: LinesReply };
  'pagewalk/memoryMap': { readonly arguments: MemoryMapArguments; readonly reply: MemoryMapReply };
}
export type RequestName = keyof Requests;
