/**
 * The VMCB (AMD APM vol. 2, appendix B): one 4 KiB page, control area from 0, state-save area from 0x400. Names are the manual's, lower case in Linux's struct vmcb.
 *
 *   0x000  control area  ┊ 0x400  state-save area ┊ 0x698 … 0xfff  reserved here
 *
 * Each field: byte offset, bytes, and the manual's name. Fields of encrypted guests (SEV) and of AVIC are omitted: no
 * CPU model here has them.
 */
const CONTROL = {
  INTERCEPT_CR: [0x000, 4, 'Intercepts of control-register reads (15:0) and writes (31:16)'],
  INTERCEPT_DR: [0x004, 4, 'Intercepts of debug-register reads (15:0) and writes (31:16)'],
  INTERCEPT_EXCEPTION: [0x008, 4, 'Intercepts of exceptions, by vector'],
  INTERCEPT_MISC1: [0x00c, 4, 'Intercepts of events and instructions (word 3)'],
  INTERCEPT_MISC2: [0x010, 4, 'Intercepts of SVM and other instructions (word 4)'],
  INTERCEPT_MISC3: [0x014, 4, 'Intercepts of invalidations (word 5)'],
  PAUSE_FILTER_THRESHOLD: [0x03c, 2, 'PAUSE filter threshold'],
  PAUSE_FILTER_COUNT: [0x03e, 2, 'PAUSE filter count'],
  IOPM_BASE_PA: [0x040, 8, 'Physical base address of the I/O permission map'],
  MSRPM_BASE_PA: [0x048, 8, 'Physical base address of the MSR permission map'],
  TSC_OFFSET: [0x050, 8, 'TSC offset'],
  GUEST_ASID: [0x058, 4, 'Guest ASID'],
  TLB_CONTROL: [0x05c, 1, 'TLB control'],
  VINTR: [0x060, 8, 'Virtual interrupt control'],
  INTERRUPT_SHADOW: [0x068, 8, 'Interrupt shadow'],
  EXITCODE: [0x070, 8, 'Exit code'],
  EXITINFO1: [0x078, 8, 'Exit information 1'],
  EXITINFO2: [0x080, 8, 'Exit information 2'],
  EXITINTINFO: [0x088, 8, 'Exit interrupt information'],
  NP_CONTROL: [0x090, 8, 'Nested paging control'],
  EVENTINJ: [0x0a8, 8, 'Event injection'],
  N_CR3: [0x0b0, 8, 'Nested page table CR3'],
  LBR_CONTROL: [0x0b8, 8, 'LBR virtualization and virtualized VMLOAD and VMSAVE'],
  CLEAN: [0x0c0, 4, 'VMCB clean bits'],
  NRIP: [0x0c8, 8, 'Next sequential instruction pointer'],
  INSN_LENGTH: [0x0d0, 1, 'Number of instruction bytes fetched'],
} as const satisfies Readonly<Record<string, VmcbEntry>>;

const SAVE = {
  ES_SELECTOR: [0x400, 2, 'ES selector'],
  ES_ATTRIB: [0x402, 2, 'ES attributes'],
  ES_LIMIT: [0x404, 4, 'ES limit'],
  ES_BASE: [0x408, 8, 'ES base'],
  CS_SELECTOR: [0x410, 2, 'CS selector'],
  CS_ATTRIB: [0x412, 2, 'CS attributes'],
  CS_LIMIT: [0x414, 4, 'CS limit'],
  CS_BASE: [0x418, 8, 'CS base'],
  SS_SELECTOR: [0x420, 2, 'SS selector'],
  SS_ATTRIB: [0x422, 2, 'SS attributes'],
  SS_LIMIT: [0x424, 4, 'SS limit'],
  SS_BASE: [0x428, 8, 'SS base'],
  DS_SELECTOR: [0x430, 2, 'DS selector'],
  DS_ATTRIB: [0x432, 2, 'DS attributes'],
  DS_LIMIT: [0x434, 4, 'DS limit'],
  DS_BASE: [0x438, 8, 'DS base'],
  FS_SELECTOR: [0x440, 2, 'FS selector'],
  FS_ATTRIB: [0x442, 2, 'FS attributes'],
  FS_LIMIT: [0x444, 4, 'FS limit'],
  FS_BASE: [0x448, 8, 'FS base'],
  GS_SELECTOR: [0x450, 2, 'GS selector'],
  GS_ATTRIB: [0x452, 2, 'GS attributes'],
  GS_LIMIT: [0x454, 4, 'GS limit'],
  GS_BASE: [0x458, 8, 'GS base'],
  GDTR_LIMIT: [0x464, 4, 'GDTR limit'],
  GDTR_BASE: [0x468, 8, 'GDTR base'],
  LDTR_SELECTOR: [0x470, 2, 'LDTR selector'],
  LDTR_ATTRIB: [0x472, 2, 'LDTR attributes'],
  LDTR_LIMIT: [0x474, 4, 'LDTR limit'],
  LDTR_BASE: [0x478, 8, 'LDTR base'],
  IDTR_LIMIT: [0x484, 4, 'IDTR limit'],
  IDTR_BASE: [0x488, 8, 'IDTR base'],
  TR_SELECTOR: [0x490, 2, 'TR selector'],
  TR_ATTRIB: [0x492, 2, 'TR attributes'],
  TR_LIMIT: [0x494, 4, 'TR limit'],
  TR_BASE: [0x498, 8, 'TR base'],
  CPL: [0x4cb, 1, 'CPL'],
  EFER: [0x4d0, 8, 'EFER'],
  CR4: [0x548, 8, 'CR4'],
  CR3: [0x550, 8, 'CR3'],
  CR0: [0x558, 8, 'CR0'],
  DR7: [0x560, 8, 'DR7'],
  DR6: [0x568, 8, 'DR6'],
  RFLAGS: [0x570, 8, 'RFLAGS'],
  RIP: [0x578, 8, 'RIP'],
  RSP: [0x5d8, 8, 'RSP'],
  RAX: [0x5f8, 8, 'RAX'],
  STAR: [0x600, 8, 'STAR'],
  LSTAR: [0x608, 8, 'LSTAR'],
  CSTAR: [0x610, 8, 'CSTAR'],
  SFMASK: [0x618, 8, 'SFMASK'],
  KERNEL_GS_BASE: [0x620, 8, 'KernelGsBase'],
  SYSENTER_CS: [0x628, 8, 'SYSENTER_CS'],
  SYSENTER_ESP: [0x630, 8, 'SYSENTER_ESP'],
  SYSENTER_EIP: [0x638, 8, 'SYSENTER_EIP'],
  CR2: [0x640, 8, 'CR2'],
  G_PAT: [0x668, 8, 'Guest PAT'],
  DBGCTL: [0x670, 8, 'DBGCTL'],
} as const satisfies Readonly<Record<string, VmcbEntry>>;

type VmcbEntry = readonly [offset: number, bytes: 1 | 2 | 4 | 8, name: string];
export type VmcbFieldName = keyof typeof CONTROL | keyof typeof SAVE;
export type VmcbArea = 'control' | 'save';

export interface VmcbField {
  readonly name: VmcbFieldName;
  readonly offset: number;
  readonly bytes: 1 | 2 | 4 | 8;
  readonly area: VmcbArea;
  readonly manualName: string;
}

const fieldsOf = (table: Readonly<Record<string, VmcbEntry>>, area: VmcbArea): VmcbField[] =>
  Object.entries(table).map(([name, [offset, bytes, manualName]]) => ({
    name: name as VmcbFieldName,
    offset,
    bytes,
    area,
    manualName,
  }));

/** Every field, in page order. */
export const VMCB_FIELDS: readonly VmcbField[] = [...fieldsOf(CONTROL, 'control'), ...fieldsOf(SAVE, 'save')];
/** Offset and size by name. */
export const VMCB: Readonly<Record<VmcbFieldName, VmcbEntry>> = { ...CONTROL, ...SAVE };
/** Guest instruction bytes (15) from decode assists, after their count. */
export const VMCB_INSN_BYTES = 0x0d1;
export const VMCB_MAX_INSN_BYTES = 15;

/** The VMCB clean bits and the groups of fields they cover (APM vol. 2, 15.15.3). */
export const CLEAN_BITS = {
  INTERCEPTS: 0,
  IOPM: 1,
  ASID: 2,
  TPR: 3,
  NP: 4,
  CR: 5,
  DR: 6,
  DT: 7,
  SEG: 8,
  CR2: 9,
  LBR: 10,
  AVIC: 11,
} as const;

/** TLB_CONTROL (15.16.2). */
export const TLB_CONTROL = { NOTHING: 0, FLUSH_ALL: 1, FLUSH_ASID: 3, FLUSH_ASID_NON_GLOBAL: 7 } as const;

/**
 * Virtual interrupt control, offsets 0x60 to 0x67 (15.21):
 *
 *   39..32        26      25    24           20       19..16      12       11    9    8     7..0
 *  |V_INTR_VECTOR|V_NMI_EN|V_GIF_EN|V_INTR_MASKING|V_IGN_TPR|V_INTR_PRIO|V_NMI_MASK|V_NMI|V_GIF|V_IRQ|V_TPR|
 */
export const VINTR = {
  TPR: 0xffn,
  IRQ: 1n << 8n,
  GIF: 1n << 9n,
  NMI: 1n << 11n,
  NMI_MASK: 1n << 12n,
  PRIO_SHIFT: 16n,
  IGN_TPR: 1n << 20n,
  MASKING: 1n << 24n,
  GIF_ENABLE: 1n << 25n,
  NMI_ENABLE: 1n << 26n,
  VECTOR_SHIFT: 32n,
} as const;

/**
 * EVENTINJ and EXITINTINFO (15.20, 15.7.2):
 *
 *   63..32     31  11  10..8  7..0
 *  |error code| V |EV | type |vector|
 */
export const EVENT = {
  TYPE_SHIFT: 8n,
  CODE_VALID: 1n << 11n,
  VALID: 1n << 31n,
  TYPE: { INTR: 0, NMI: 2, EXCEPTION: 3, SOFT_INTR: 4 },
} as const;

/**
 * Bits of EXITINFO1 of a nested page fault (15.25.6): a page-fault error code and, above it, which access caused the
 * fault.
 */
export const NPF = {
  P: 1n << 0n,
  W: 1n << 1n,
  U: 1n << 2n,
  RSVD: 1n << 3n,
  ID: 1n << 4n,
  FINAL: 1n << 32n,
  TABLE_WALK: 1n << 33n,
} as const;

/** Words 3 to 5 of the intercepts by bit, for bits that do not follow from the exit code. */
export const INTERCEPT_INVPCID = 1 << 2;
