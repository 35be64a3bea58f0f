import { gpa, gva, type Gva } from '../../base/address';
import { bit } from '../../base/bits';
import { hex } from '../../base/hex';
import { cost } from '../../trace/costs';
import type { TableAccess, Work } from '../../trace/step';
import { invpcidRefusal } from '../../hw/cpu/system/control';
import { pageFaultErrorCode, pageFaultReason } from '../../hw/paging/page-fault';
import { VECTOR } from '../../isa/exceptions';
import { CR4, RFLAGS } from '../../isa/flags';
import { guestPaging, walkGuest } from '../mmu/shadow/guest-walk';
import type { Root } from '../mmu/shadow/roots';
import { REENTER, type Handled } from '../userspace-exit';
import type { Vcpu } from '../vcpu';
import { activePcid, invalidatePcid, isCanonicalFor } from '../x86/control-registers';

/** handle_invlpg, kvm_mmu_invlpg: the instruction drops global translations too, so it applies to all roots. */
export function* invalidatePage(v: Vcpu, linear: Gva): Work<Handled> {
  const writes = invalidateAddress(v, linear, () => true);
  v.skipEmulatedInstruction();
  yield invalidationStep(v, 'kvm_mmu_invlpg', `INVLPG of GVA ${hex(linear)}`, linear, writes);
  return REENTER;
}

/**
 * kvm_mmu_invalidate_addr: hardware forgets the address, and the guest's writes to a table that is out of sync take
 * effect for it.
 */
function invalidateAddress(v: Vcpu, linear: bigint, which: (root: Root) => boolean): readonly TableAccess[] {
  v.stats.add('invlpg');
  if (v.regs.longMode && !isCanonicalFor(v, linear)) return [];
  v.ops.flushGva(gva(linear));
  return v.vm.shadow?.invalidateAddress(linear, which) ?? [];
}

function invalidationStep(
  v: Vcpu,
  fn: string,
  what: string,
  linear: bigint,
  writes: readonly TableAccess[],
): ReturnType<Vcpu['step']> {
  const hardware = v.vpid === 0 ? ': the VM entry flushes' : '';
  const shadow =
    writes.length > 0 ? `; the shadow entry did not match the guest's any more: ${writes.length} changed` : '';
  return v.step(fn, what + hardware + shadow, cost('invept') + cost('eptEntry', writes.length), {
    addresses: { gva: gva(linear) },
    writes,
  });
}

const INVPCID = { ADDRESS: 0n, CONTEXT: 1n, ALL: 2n, ALL_NON_GLOBAL: 3n } as const;
/** Bytes. */
export const INVPCID_DESCRIPTOR = 16;

/**
 * kvm_handle_invpcid. Shadow entries are never global, so the last two types are equivalent. `at`: the descriptor's
 * address.
 */
export function* invalidateProcessContext(v: Vcpu, type: bigint, at: Gva): Work<Handled> {
  const bytes = yield* readVirtual(v, at, INVPCID_DESCRIPTOR);
  if (!bytes) return REENTER;
  const descriptor = new DataView(bytes.buffer, bytes.byteOffset);
  const pcid = descriptor.getBigUint64(0, true);
  const linear = descriptor.getBigUint64(8, true);
  const pcide = bit(v.regs.cr4, CR4.PCIDE);
  const refused = invpcidRefusal(type, pcid, linear, pcide, v.model.linearBits);
  const name = `INVPCID type ${type}, PCID ${pcid}`;
  if (refused) {
    v.injectGp(refused);
    yield v.step('kvm_handle_invpcid', `${name} is refused: #GP(0)`, cost('kvmHandler'));
    return REENTER;
  }
  v.skipEmulatedInstruction();
  if (type === INVPCID.ADDRESS) {
    const current = activePcid(v) === pcid;
    const loaded = v.vm.shadow?.loaded;
    const writes = invalidateAddress(v, linear, (root) =>
      root === loaded ? current : (root.paging.cr3 & 0xfffn) === pcid,
    );
    yield invalidationStep(v, 'kvm_mmu_invpcid_gva', `${name}, GVA ${hex(linear)}`, linear, writes);
    return REENTER;
  }
  if (type === INVPCID.CONTEXT) invalidatePcid(v, pcid);
  else v.flushGuest = true;
  yield v.step(
    'kvm_handle_invpcid',
    type === INVPCID.CONTEXT ? name : `INVPCID type ${type}: all PCIDs`,
    cost('kvmHandler'),
  );
  return REENTER;
}

/** kvm_read_guest_virt, through the guest's own tables. Undefined: the guest got its #PF. */
function* readVirtual(v: Vcpu, at: Gva, size: number): Work<Uint8Array | undefined> {
  const out = new Uint8Array(size);
  const paging = guestPaging(v.regs, v.model);
  const access = { op: 'read', user: false, implicit: false } as const;
  for (let done = 0; done < size;) {
    const linear = at + BigInt(done);
    const n = Math.min(size - done, 4096 - Number(linear & 0xfffn));
    const { steps, ok, out: walk } = walkGuest(v.vm, paging, linear, access, bit(v.regs.rflags, RFLAGS.AC));
    yield* steps;
    const bytes = ok ? v.readGuest(gpa(walk.address), n) : undefined;
    if (!bytes) {
      const reason = ok || walk.reason === 'no-memory' ? 'not-present' : walk.reason;
      const errorCode = pageFaultErrorCode(reason, access, paging.controls);
      const why = pageFaultReason(walk, access, paging.controls, reason);
      v.events.queueException({ vector: VECTOR.PF, errorCode, payload: linear, why });
      return undefined;
    }
    out.set(bytes, done);
    done += n;
  }
  return out;
}
