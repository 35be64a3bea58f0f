import { hex } from '../../base/hex';
import { vectorName } from '../exceptions';
import { rule } from './rule';

const DR6 = { BD: 13n, BS: 14n, BT: 15n } as const;
const has = (bits: bigint, n: bigint): boolean => ((bits >> n) & 1n) === 1n;

/** Consequences of other events: debug exceptions, double faults, and events injected by a hypervisor. */
export const DELIVERY_RULES = {
  /** `dr6`: the bits set in it. */
  debug: rule('SDM vol. 3, 17.2.3', (dr6: bigint, dr0: bigint, dr1: bigint, dr2: bigint, dr3: bigint) => {
    const causes = [dr0, dr1, dr2, dr3].flatMap((address, n) =>
      has(dr6, BigInt(n)) ? [`breakpoint ${n} at ${hex(address)}`] : [],
    );
    if (has(dr6, DR6.BD)) causes.push('an access to a debug register while DR7.GD = 1');
    if (has(dr6, DR6.BS)) causes.push('a single step (RFLAGS.TF = 1)');
    if (has(dr6, DR6.BT)) causes.push('a switch to a task whose TSS has the T flag');
    return causes.join(', ') || `DR6 gains ${hex(dr6)}`;
  }),
  'double-fault': rule('SDM vol. 3, table 6-5', (first: number, second: number) => {
    return `${vectorName(second)} was raised while ${vectorName(first)} was being delivered`;
  }),
  injected: rule('SDM vol. 3, 26.6.1', () => 'the hypervisor injects it with the VM entry'),
  'async-page': rule('arch/x86/kvm/x86.c, kvm_arch_async_page_not_present', (token: bigint) => {
    return `KVM tells the guest that the host does not have a page yet (token ${hex(token)})`;
  }),
} as const;
