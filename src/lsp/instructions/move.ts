import type { InstructionDoc, InstructionTable } from './doc';
import { CPL0, doc, exit } from './doc';

const farLoad = (segment: string): InstructionDoc =>
  doc(
    `Load ${segment} and offset`,
    `Loads a far pointer: the offset into the register, the selector into ${segment}.`,
    {
      exceptions: ['#GP or #NP for the selector that is loaded', '#UD where the source is a register'],
    },
  );

/** Data movement. */
export const MOVE: InstructionTable = {
  mov: doc(
    'Move',
    'Copies the source to the destination. A 32-bit destination register clears the upper half of its 64 bits. Loading SS holds interrupts off for one instruction.',
    {
      operation: 'dst ← src',
      flags: 'None change, except that moves to and from control and debug registers leave them undefined.',
      exceptions: [
        '#GP or #NP for a segment selector',
        '#UD for `mov cs, …`',
        `for control and debug registers ${CPL0} or a reserved bit is set`,
        '#DB for a debug register while DR7.GD is set',
      ],
      exits: [
        exit(
          'CR_ACCESS',
          'writing CR0 or CR4 bits that the hypervisor owns (guest/host masks), CR3 under CR3-load or CR3-store exiting, CR8 under its own controls',
        ),
        exit('DR_ACCESS', 'a debug register, where MOV-DR exiting is set'),
      ],
    },
  ),
  movzx: doc(
    'Move with zero extension',
    'Copies a smaller operand and fills the rest with zeros.',
    'dst ← unsigned src',
  ),
  movsx: doc(
    'Move with sign extension',
    'Copies a smaller operand and fills the rest with its sign.',
    'dst ← signed src',
  ),
  movsxd: doc(
    'Move doubleword with sign extension',
    'Copies 32 bits and fills the upper 32 with their sign.',
    'dst ← signed src',
  ),
  movbe: doc('Move with swapped bytes', 'Loads or stores with the order of the bytes reversed (big-endian data).'),
  movnti: doc('Move non-temporal', 'Stores without keeping the line in the cache. `sfence` orders it.', 'm ← src'),
  xchg: doc('Exchange', 'Swaps the operands. With a memory operand it is atomic even without `lock`.', 'dst ↔ src'),
  bswap: doc('Swap bytes', 'Reverses the order of the bytes in the register.'),
  lea: doc(
    'Load effective address',
    'Puts the address, not what is there, into the register: arithmetic on registers without touching flags or memory.',
    'dst ← address',
  ),
  push: doc('Push', 'Lowers the stack pointer by the operand’s size and stores the operand there.', {
    operation: 'rsp ← rsp − size; [rsp] ← src',
    exceptions: ['#SS where the stack address is not valid'],
  }),
  pop: doc(
    'Pop',
    'Loads from the top of the stack and raises the stack pointer. Loading SS holds interrupts off for one instruction.',
    {
      operation: 'dst ← [rsp]; rsp ← rsp + size',
      exceptions: ['#SS where the stack address is not valid', '#GP or #NP for a segment selector'],
    },
  ),
  pusha: doc('Push all', 'Pushes AX CX DX BX, the old SP, BP SI DI, at the mode’s size.', {
    exceptions: ['#UD in 64-bit mode'],
  }),
  popa: doc('Pop all', 'Pops what `pusha` pushed; the value of SP is skipped.', { exceptions: ['#UD in 64-bit mode'] }),
  pushf: doc('Push flags', 'Pushes the flags register; RF and VM are pushed as 0.', {
    exceptions: ['#GP in virtual-8086 mode with IOPL below 3'],
  }),
  popf: doc(
    'Pop flags',
    'Pops into the flags register. IF changes only where CPL is at most IOPL, IOPL only at CPL 0; otherwise they silently stay.',
    {
      exceptions: ['#GP in virtual-8086 mode with IOPL below 3'],
    },
  ),
  lahf: doc('Load flags into AH', 'Copies SF ZF AF PF CF into AH.', 'ah ← flags 7:0'),
  sahf: doc('Store AH into flags', 'Copies AH into SF ZF AF PF CF.', 'flags 7:0 ← ah'),
  lds: farLoad('DS'),
  les: farLoad('ES'),
  lfs: farLoad('FS'),
  lgs: farLoad('GS'),
  lss: farLoad('SS'),
  xlatb: doc(
    'Table look-up',
    'Replaces AL by the byte that it indexes in the table at BX, EBX or RBX.',
    'al ← [rbx + al]',
  ),
  enter: doc(
    'Enter procedure',
    'Makes a stack frame: pushes BP, copies enclosing frames’ pointers for a nesting level above 0, and reserves bytes.',
    'push rbp; rbp ← rsp; rsp ← rsp − size',
  ),
  leave: doc('Leave procedure', 'Undoes `enter`.', 'rsp ← rbp; pop rbp'),
  nop: doc('No operation', 'Does nothing. The form with an operand does not access memory.'),
  prefetchnta: doc('Prefetch, non-temporal', 'Hints that the line will be read once. It never faults.'),
  prefetcht0: doc('Prefetch into all caches', 'Hints that the line will be read. It never faults.'),
  prefetcht1: doc('Prefetch into level 2', 'Hints that the line will be read. It never faults.'),
  prefetcht2: doc('Prefetch into level 3', 'Hints that the line will be read. It never faults.'),
  prefetchw: doc('Prefetch for writing', 'Hints that the line will be written. It never faults.'),
};
