/**
 * The custom requests of the debug adapter, beyond the Debug Adapter Protocol. All of them are probes: none changes
 * guest memory, TLB, counters or A/D bits. All except those about lines and breakpoints are refused (a DAP error
 * response) while the guest is running. Error responses carry `showUser: false`: the requesting view shows the error
 * itself.
 *
 *   pagewalk/translate   the chain of an address
 *   pagewalk/hover       value and chain of whatever is under the cursor in a source line
 *   pagewalk/tree        one page of a tree node's children
 *   pagewalk/tlb         TLB and paging-structure caches, stale entries marked
 *   pagewalk/pagemap     GPA, HVA and HPA of each page, as the text of a file
 *   pagewalk/memoryMap   memslots, holes, VMAs, and guest memory as runs GPA | HVA | HPA
 *
 *   pagewalk/checkBreakpoint  what is wrong with a function breakpoint being typed
 *   pagewalk/edited      the current text of a source, used to find lines of the running image in it
 *   pagewalk/lines       addresses and bytes of the running image by line
 *
 * and those of single panels: panels/<panel>.ts. Two events are sent: `pagewalk/problems` at each launch or restart,
 * and `pagewalk/machine` once the guest has been launched.
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
  /** As from CPL 3; default: the guest's current privilege level. */
  readonly user?: boolean;
  readonly frameId?: number;
}
export interface TranslateReply {
  /** The value of the expression, in the requested space. */
  readonly address: Hex;
  readonly space: Space;
  /** The symbol at or before the address, as `table+0x8`. */
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
  /** The 1-based columns in the line that the hover covers, end exclusive. */
  readonly start: number;
  readonly end: number;
  /** `instruction`: a mnemonic. */
  readonly about: 'operand' | 'instruction';
  /** The expression under the cursor; on a mnemonic, those of its operands that have a value. */
  readonly operands: readonly HoverOperand[];
}
export interface HoverOperand {
  readonly expression: string;
  /** Its kind: decides how the hover reads. */
  readonly kind: 'register' | 'memory' | 'label' | 'constant' | 'number';
  /** The value as text, in the notations a reader wants (`0x2a = 42`). */
  readonly value: string;
  /**
   * The address the chain starts from: a memory operand's own, otherwise the value. Absent if the value is not an
   * address.
   */
  readonly address?: Hex;
  /** The space of `address`; present with it. */
  readonly space?: Space;
  readonly symbol?: string;
  readonly translation?: Translation;
}

/** The trees of the Pagewalk views. */
export type TreeName = 'guest' | 'shadow' | 'ept' | 'npt' | 'memslots' | 'host';

export interface TreeArguments {
  readonly tree: TreeName;
  /** The node whose children are requested; absent: the roots. */
  readonly node?: string;
  /** Paging: at most `count` children, starting at index `start`. */
  readonly start: number;
  readonly count: number;
}
export interface TreeNode {
  /** Identifies the node within its tree; the same path of indices keeps its id from stop to stop. */
  readonly id: string;
  readonly label: string;
  /** Shown beside the label, dimmed. */
  readonly description?: string;
  /** Markdown: the decoded entry. */
  readonly tooltip?: string;
  readonly kind: 'root' | 'table' | 'page' | 'large-page' | 'slot' | 'hole' | 'range';
  /** An address that can be translated from here: the first one that the entry maps. */
  readonly address?: { readonly value: Hex; readonly space: Space };
  /**
   * For guest and shadow entries under shadow paging: `missing`, `stale`, `write-protected`, `unsync`, `mmio`
   * (defined in session/tables/drift.ts).
   */
  readonly marks?: readonly string[];
  /**
   * The actions in the row's menu: verbs of the console's `host` and `memslot` commands that are possible for this
   * page or slot.
   */
  readonly actions?: readonly string[];
  /** The raw entry or base address, for copying. */
  readonly value?: Hex;
  readonly children: boolean;
}
export interface TreeReply {
  readonly nodes: readonly TreeNode[];
  /** Total number of children. */
  readonly total: number;
}

export interface PagemapArguments {
  /** As printed by `pagewalk pagemap`, without and with --json. */
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
  /** The message of an unverified breakpoint; null: it could be set. */
  readonly problem: string | null;
}

export interface EditedArguments {
  readonly path: string;
  readonly text: string;
}
export interface EditedReply {
  /** It is one of the sources of the running image. */
  readonly isSource: boolean;
  /** It would assemble to a different image: more than comments and blanks has changed. */
  readonly differs: boolean;
}

export interface LinesArguments {
  readonly path: string;
  /** The requested lines of the current text, 1-based, `to` inclusive. */
  readonly from: number;
  readonly to: number;
}
/** A line of the running image at its current position; lines that have changed since are omitted. */
export interface ImageLine {
  readonly line: number;
  /** `7c00: fa 31 c0`. */
  readonly label: string;
  readonly tooltip: string;
}
export interface LinesReply {
  readonly lines: readonly ImageLine[];
}

/** The body of the event `pagewalk/machine`: what can be inspected. */
export interface MachineEvent {
  /** How guest memory is virtualized. */
  readonly mmu: 'ept' | 'npt' | 'shadow' | 'software';
  /** The sources that the image was assembled from, as paths. */
  readonly files: readonly string[];
  /** It was assembled at launch from these; otherwise a compiler built it earlier. */
  readonly assembled: boolean;
}

/**
 * A launch field of the extension's own: the extension displays `pagewalk/problems`, so the client need not show a
 * dialog.
 */
export const REPORTS_PROBLEMS = '__reportsProblems';

/** One error or warning of a launch: in a source file, or (without a line) in the launch configuration or a whole file. */
export interface Problem {
  readonly severity: 'error' | 'warning' | 'info';
  /** `PW` and three digits. */
  readonly code: string;
  readonly message: string;
  /** A path; for a field of the launch configuration, absent. */
  readonly path?: string;
  /** Position in the file, 1-based, columns in UTF-16 units, the end exclusive. */
  readonly range?: {
    readonly line: number;
    readonly column: number;
    readonly endLine: number;
    readonly endColumn: number;
  };
}
/** The body of the event `pagewalk/problems`: what is wrong with the launch; the list may be cut off. */
export interface ProblemsEvent {
  readonly problems: readonly Problem[];
  /** Counts `problems` and those beyond the limit. */
  readonly errors: number;
  /** Whether a guest is ready to run; false: nothing was launched, and a running session continues unchanged. */
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
