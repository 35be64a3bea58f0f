/** What a condition may ask of an exit. */
import type { ExprValue } from '../../expr/index';
import { PF_ERROR } from '../../isa/exceptions';
import type { ExitInfo } from '../../kvm/exit-info';
import { SHADOW_FAULTS } from '../../kvm/mmu/shadow/fault';
import type { GuestView } from '../guest/view';
import { failingLevel } from './second-level';
import { opOf } from './title';
import { shadowFault, slotNumber } from './view';

const RCX = 1;

/** By name; facts that the exit does not have are absent. `count`: its number, from 1. */
export function exitFacts(g: GuestView, exit: ExitInfo, count: number): ReadonlyMap<string, ExprValue> {
  const { cause } = exit;
  const facts = new Map<string, ExprValue>([
    ['reason', BigInt.asUintN(64, BigInt(exit.reason))],
    ['qualification', exit.qualification],
    ['count', BigInt(count)],
    ['instructions', BigInt(g.retired)],
    ['length', BigInt(exit.instructionLength)],
    ['read', false],
    ['write', false],
    ['fetch', false],
    ['table_walk', false],
  ]);
  if (exit.gva !== undefined) facts.set('gva', exit.gva);
  const direction = (write: boolean): void => {
    facts.set('read', !write);
    facts.set('write', write);
  };
  switch (cause.kind) {
    case 'second-level':
      facts.set('gpa', cause.gpa);
      facts.set('slot', BigInt.asUintN(64, BigInt(slotNumber(g, cause.gpa))));
      facts.set('level', BigInt(failingLevel(g, cause.gpa, opOf(cause))));
      facts.set('read', cause.read);
      facts.set('write', cause.write);
      facts.set('fetch', cause.exec);
      facts.set('table_walk', cause.tableWalk);
      if (exit.of === 'vmcb') facts.set('error_code', exit.qualification);
      break;
    case 'port':
      facts.set('port', BigInt(cause.port));
      facts.set('size', BigInt(cause.size));
      direction(!cause.input);
      break;
    case 'control-register':
      facts.set('cr', BigInt(cause.cr));
      direction(cause.access !== 'read');
      break;
    case 'msr':
      facts.set('msr', BigInt.asUintN(32, g.state.get(RCX)));
      direction(cause.write);
      break;
    case 'exception': {
      facts.set('vector', BigInt(cause.vector));
      facts.set('error_code', BigInt(cause.errorCode));
      const kind = shadowFault(g, exit);
      if (kind === undefined) break;
      for (const k of SHADOW_FAULTS) facts.set(k === 'guest' ? 'guest_fault' : k, kind === k);
      facts.set('write', ((cause.errorCode >> PF_ERROR.W) & 1) === 1);
      facts.set('fetch', ((cause.errorCode >> PF_ERROR.I) & 1) === 1);
      break;
    }
    case 'interrupt':
    case 'other':
      break;
  }
  return facts;
}
