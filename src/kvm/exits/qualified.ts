import { bits } from '../../base/bits';
import type { ControlRegisterAccess } from './control-registers';

const CONTROL_REGISTERS = [0, 3, 4, 8] as const;

/**
 * The exit qualification of a control-register access (SDM vol. 3, table 27-3); undefined: accesses to this register
 * are not intercepted.
 *
 *   31..16       11..8   6           5..4   3..0
 *  |LMSW source| gpr  |LMSW memory | type |number|
 */
export function controlRegisterAccess(q: bigint): ControlRegisterAccess | undefined {
  const cr = CONTROL_REGISTERS.find((n) => n === Number(bits(q, 3, 0)));
  if (cr === undefined) return undefined;
  const gpr = Number(bits(q, 11, 8));
  switch (Number(bits(q, 5, 4))) {
    case 0:
      return { kind: 'write', cr, gpr };
    case 1:
      return { kind: 'read', cr, gpr };
    case 2:
      return { kind: 'clts' };
    default:
      return { kind: 'lmsw', source: bits(q, 31, 16) };
  }
}
