import { bit } from '../../base/bits';
import type { SegmentCache } from '../../hw/state/cpu-state';
import { RIGHTS, SEG } from '../../hw/state/layout';
import { CR0, RFLAGS } from '../../isa/flags';
import type { Vcpu } from '../vcpu';
import type { GuestRegisters } from '../x86/registers';

const rpl = (s: SegmentCache): number => s.selector & 3;
const dpl = (s: SegmentCache): number => (s.rights >>> RIGHTS.DPL_SHIFT) & 3;
const type = (s: SegmentCache): number => s.rights & RIGHTS.TYPE_MASK;
const has = (s: SegmentCache, flags: number): boolean => (s.rights & flags) === flags;
const unusable = (s: SegmentCache): boolean => (s.rights & RIGHTS.UNUSABLE) !== 0;
const CODE_ACCESSED = 9;
const CONFORMING = 4;
const CODE = 8;
/** Access rights of each segment in virtual-8086 mode (SDM vol. 3, 26.3.1.2). */
const V86_RIGHTS = 0xf3;

/**
 * __vmx_guest_state_valid: whether VM entry accepts the guest's state on a processor without unrestricted guest. It
 * rejects real mode, and segments that make sense only in the middle of a mode switch. (Linux first tries
 * virtual-8086 mode for real-mode code; with emulate_invalid_guest_state the emulator runs all of it.)
 */
function guestStateValid(regs: GuestRegisters): boolean {
  if (!bit(regs.cr0, CR0.PE)) return false;
  const data = [SEG.ES, SEG.DS, SEG.FS, SEG.GS].map((i) => regs.segment(i));
  const cs = regs.segment(SEG.CS);
  const ss = regs.segment(SEG.SS);
  if (bit(regs.rflags, RFLAGS.VM)) {
    return [cs, ss, ...data].every(
      (s) => s.base === BigInt(s.selector << 4) && s.limit === 0xffff && s.rights === V86_RIGHTS,
    );
  }
  return (
    rpl(cs) === rpl(ss) &&
    codeValid(cs) &&
    stackValid(ss) &&
    data.every(dataValid) &&
    taskValid(regs.segment(SEG.TR)) &&
    localValid(regs.segment(SEG.LDTR))
  );
}
function codeValid(s: SegmentCache): boolean {
  if (unusable(s) || (type(s) & CODE_ACCESSED) !== CODE_ACCESSED || !has(s, RIGHTS.S | RIGHTS.P)) return false;
  return (type(s) & CONFORMING) !== 0 ? dpl(s) <= rpl(s) : dpl(s) === rpl(s);
}
function stackValid(s: SegmentCache): boolean {
  return unusable(s) || ((type(s) === 3 || type(s) === 7) && has(s, RIGHTS.S | RIGHTS.P) && dpl(s) === rpl(s));
}
function dataValid(s: SegmentCache): boolean {
  if (unusable(s)) return true;
  if (!has(s, RIGHTS.S | RIGHTS.P) || (type(s) & 1) === 0) return false;
  return (type(s) & CODE) !== 0 || dpl(s) >= rpl(s);
}
const taskValid = (s: SegmentCache): boolean =>
  !unusable(s) && (s.selector & 4) === 0 && (type(s) === 3 || type(s) === 11) && has(s, RIGHTS.P);
const localValid = (s: SegmentCache): boolean =>
  unusable(s) || ((s.selector & 4) === 0 && type(s) === 2 && has(s, RIGHTS.P));

/** vmx->emulation_required: EPT supports unrestricted guest, shadow paging does not. */
export const emulationRequired = (v: Vcpu): boolean => v.vm.shadow !== undefined && !guestStateValid(v.regs);
