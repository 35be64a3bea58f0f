import type { InstructionDoc, InstructionTable } from './doc';
import { doc, exit } from './doc';

const TARGET = ['#GP where the target is not canonical or lies beyond the code segment'];
const FAR = [...TARGET, '#GP, #NP or #TS for the selector, gate or task of a far transfer'];
const TASK = [exit('TASK_SWITCH', 'the transfer switches tasks (outside 64-bit mode)')];
const GATE = ['#GP, #NP, #TS or #SS for the gate and the segments it names'];
const loop = (also: string): InstructionDoc =>
  doc(
    `Loop${also ? ' while ' + (also === 'ZF = 1' ? 'equal' : 'not equal') : ''}`,
    `Counts CX, ECX or RCX down and jumps while it is not 0${also ? ` and ${also}` : ''}. The counter goes by the address size. No flag changes.`,
    {
      operation: `rcx ← rcx − 1; if rcx ≠ 0${also ? ` and ${also}` : ''}: rip ← target`,
    },
  );
const ifZero = (register: string): InstructionDoc =>
  doc(
    `Jump if ${register} is 0`,
    `Jumps where ${register} is 0. There is a short form only.`,
    `if ${register} = 0: rip ← target`,
  );

/** Jumps, calls, interrupts. */
export const FLOW: InstructionTable = {
  jmp: doc(
    'Jump',
    'Continues at the target. A far form loads CS as well; `jmp far [mem]` takes the pointer from memory.',
    { operation: 'rip ← target', exceptions: FAR, exits: TASK },
  ),
  call: doc('Call', 'Pushes the address of the next instruction and jumps. A far form pushes and loads CS as well.', {
    operation: 'push rip; rip ← target',
    exceptions: FAR,
    exits: TASK,
  }),
  ret: doc('Return', 'Pops the return address; with an operand it then drops that many bytes of arguments.', {
    operation: 'pop rip; rsp ← rsp + imm',
    exceptions: TARGET,
  }),
  retf: doc(
    'Far return',
    'Pops return address and CS, and the stack of an outer privilege level where the selector names one.',
    { operation: 'pop rip; pop cs; rsp ← rsp + imm', exceptions: FAR },
  ),
  loop: loop(''),
  loope: loop('ZF = 1'),
  loopz: loop('ZF = 1'),
  loopne: loop('ZF = 0'),
  loopnz: loop('ZF = 0'),
  jcxz: ifZero('CX'),
  jecxz: ifZero('ECX'),
  jrcxz: ifZero('RCX'),
  int: doc(
    'Software interrupt',
    'Calls the handler of the vector through the interrupt table. The address pushed is that of the next instruction.',
    {
      exceptions: ['#GP where the gate’s DPL is below CPL', ...GATE],
      exits: TASK,
    },
  ),
  int3: doc('Breakpoint', 'Raises #BP, vector 3, in one byte, so that a debugger can put it over any instruction.', {
    exceptions: ['#BP', ...GATE],
    exits: [exit('EXCEPTION_NMI', 'bit 3 of the exception bitmap is set'), ...TASK],
  }),
  int1: doc('Debug trap', 'Raises #DB, vector 1.', {
    exceptions: ['#DB', ...GATE],
    exits: [exit('EXCEPTION_NMI', 'bit 1 of the exception bitmap is set'), ...TASK],
  }),
  into: doc('Interrupt on overflow', 'Raises #OF, vector 4, where OF is set.', {
    exceptions: ['#OF', '#UD in 64-bit mode'],
    exits: [exit('EXCEPTION_NMI', 'bit 4 of the exception bitmap is set'), ...TASK],
  }),
  iret: doc(
    'Interrupt return',
    'Pops instruction pointer, CS and flags, and the stack pointer and SS as well on a return to an outer level or always in 64-bit mode. Ends the blocking of NMIs.',
    {
      operation: 'pop rip, cs, rflags[, rsp, ss]',
      exceptions: FAR,
      exits: TASK,
    },
  ),
  iretd: doc('Interrupt return, 32 bits', 'As `iret` with 32-bit values on the stack.', {
    exceptions: FAR,
    exits: TASK,
  }),
  iretq: doc(
    'Interrupt return, 64 bits',
    'As `iret` with 64-bit values on the stack; this is the one to use in 64-bit mode.',
    { exceptions: FAR },
  ),
  syscall: doc(
    'System call',
    'Enters the kernel at LSTAR: RCX takes the return address, R11 the flags, and FMASK says which flags are cleared. CS and SS come from STAR. The stack is not switched.',
    {
      operation: 'rcx ← rip; r11 ← rflags; rip ← LSTAR; rflags ← rflags ∧ ¬FMASK',
      exceptions: ['#UD where EFER.SCE is 0, or outside 64-bit mode on Intel'],
    },
  ),
  sysret: doc(
    'Return from system call',
    'Back to user mode: the address from RCX, the flags from R11. `o64 sysret` returns to 64-bit code, the plain form to 32-bit code.',
    {
      operation: 'rip ← rcx; rflags ← r11; CPL ← 3',
      exceptions: ['#GP where CPL is above 0 or RCX is not canonical', '#UD where EFER.SCE is 0'],
    },
  ),
  sysenter: doc(
    'Fast system call',
    'Enters the kernel at IA32_SYSENTER_EIP with the stack IA32_SYSENTER_ESP. No return address is kept.',
    { exceptions: ['#GP in real mode or where IA32_SYSENTER_CS is 0'] },
  ),
  sysexit: doc('Return from fast system call', 'Back to user mode at RDX with the stack RCX.', {
    exceptions: ['#GP where CPL is above 0 or IA32_SYSENTER_CS is 0'],
  }),
  bound: doc('Check array bounds', 'Raises #BR where the register lies outside the two limits in memory.', {
    exceptions: ['#BR', '#UD in 64-bit mode'],
  }),
  ud2: doc('Undefined instruction', 'Raises #UD. It is reserved for this purpose.', {
    exceptions: ['#UD'],
    exits: [exit('EXCEPTION_NMI', 'bit 6 of the exception bitmap is set')],
  }),
  pause: doc('Spin-loop hint', 'Tells the processor that a loop waits for another one. Otherwise a `nop`.', {
    exits: [exit('PAUSE_INSTRUCTION', 'PAUSE exiting, or PAUSE-loop exiting at CPL 0 after too many in a row')],
  }),
  endbr64: doc('End branch, 64-bit', 'Marks a place where indirect jumps may land under CET; else a `nop`.'),
  endbr32: doc('End branch, 32-bit', 'Marks a place where indirect jumps may land under CET; else a `nop`.'),
};
