import { Mnemonic } from 'iced-x86';

/** After these nothing follows: the code behind them is entered by a branch or an interrupt's return, if at all. */
const ENDS: ReadonlySet<Mnemonic> = new Set([
  Mnemonic.Jmp,
  Mnemonic.Call,
  Mnemonic.Ret,
  Mnemonic.Retf,
  Mnemonic.Iret,
  Mnemonic.Iretd,
  Mnemonic.Iretq,
  Mnemonic.Syscall,
  Mnemonic.Sysret,
  Mnemonic.Sysexit,
  Mnemonic.Int,
  Mnemonic.Int3,
  Mnemonic.Hlt,
  Mnemonic.Ud2,
  Mnemonic.INVALID,
]);

/** Whether control never falls through from an instruction to the one behind it. */
export const endsStraightLine = (mnemonic: Mnemonic): boolean => ENDS.has(mnemonic);
