/** What an expression may ask of the whole run and of the tables: `exits.EPT_VIOLATION`, `references`, `walk(0x5000).gpa`, `tlb(page).stale`. */
import { hex } from '../../base/hex';
import type { CallAnswer, Expr, ExprValue } from '../../expr/index';
import { VMX_EXIT } from '../../isa/exits';
import { SVM_EXITS } from '../../isa/svm-exits';
import type { Machine } from '../../vmm/machine';
import type { RunQuestions } from './names';
import { callsIn } from './names';
import type { Chain, Translate } from '../translate/translation';

const REFERENCES = ['guest', 'nested', 'shadow', 'host'] as const;

/** The parts of an answer of `walk(address)`: of a read by a probe, at the guest's present privilege level. */
const WALK: Readonly<Record<string, (c: Chain) => ExprValue | undefined>> = {
  ok: (c) => c.ok,
  gpa: (c) => c.gpa,
  hva: (c) => c.hva,
  hpa: (c) => c.hpa,
  references: (c) => BigInt(c.references),
  r: (c) => c.rights.r,
  w: (c) => c.rights.w,
  x: (c) => c.rights.x,
  user: (c) => c.rights.user,
  level: (c) => (c.failure?.level === undefined ? undefined : BigInt(c.failure.level)),
};
/** The parts of an answer of `tlb(address)`. */
const TLB: Readonly<Record<string, (c: Chain) => ExprValue>> = {
  hit: (c) => c.tlb.hit,
  stale: (c) => c.tlb.stale !== null,
};
const FUNCTIONS = { walk: WALK, tlb: TLB } as const;
/** What a function answers where no part is named. */
const WHOLE: Readonly<Record<keyof typeof FUNCTIONS, string>> = { walk: 'ok', tlb: 'hit' };

const isFunction = (name: string): name is keyof typeof FUNCTIONS => Object.hasOwn(FUNCTIONS, name);

export class RunFacts implements RunQuestions {
  constructor(
    private readonly machine: Machine,
    private readonly translate: Translate,
  ) {}

  /** A count by its name; undefined: there is no such name. */
  lookup(name: string): bigint | undefined {
    const { machine } = this;
    const [group = '', ...rest] = name.split('.');
    const part = rest.join('.');
    switch (group) {
      case 'references': {
        const known = REFERENCES.find((each) => each === part);
        if (known) return BigInt(machine.references[known]);
        const { guest, nested, shadow } = machine.references;
        return part === '' ? BigInt(guest + nested + shadow) : undefined;
      }
      case 'exits': {
        const { byReason } = machine.exits;
        if (part === '') return [...byReason.values()].reduce((sum, n) => sum + BigInt(n), 0n);
        const upper = part.toUpperCase();
        if (!Object.hasOwn(VMX_EXIT, upper) && !Object.hasOwn(SVM_EXITS, upper)) return undefined;
        return BigInt(byReason.get(upper) ?? 0);
      }
      case 'stats': {
        const stats = machine.accelerator.stats();
        return Object.hasOwn(stats, part) ? BigInt(stats[part] ?? 0) : undefined;
      }
      case 'tlb':
        return part === 'hits' || part === 'misses' ? BigInt(machine.cpu.tlb[part]) : undefined;
      case 'instructions':
        return part === '' ? BigInt(machine.instructions) : undefined;
      case 'cycles':
        return part === '' ? BigInt(Math.round(machine.cycles)) : undefined;
      default:
        return undefined;
    }
  }

  call(name: string, args: readonly ExprValue[], member: string | undefined): CallAnswer | undefined {
    if (!isFunction(name)) return undefined;
    const address = args[0];
    if (typeof address !== 'bigint' || args.length !== 1) return { problem: `${name} takes one address` };
    const part = FUNCTIONS[name][member ?? WHOLE[name]];
    if (!part) return { problem: wrongPart(name, member ?? '') };
    const answer = this.translate({ address, space: 'gva' });
    if (answer.kind !== 'forward') return undefined;
    const why = answer.chain.failure?.reason;
    return (
      part(answer.chain) ?? {
        problem: `${hex(address)} has no ${member ?? ''} now${why === undefined ? '' : `: ${why}`}`,
      }
    );
  }
}

const wrongPart = (name: keyof typeof FUNCTIONS, member: string): string =>
  `${name}(…) has no \`${member}\`; there are ${Object.keys(FUNCTIONS[name]).join(', ')}`;

/** What is wrong with the functions in an expression, whatever their arguments come to. */
export function wrongCalls(e: Expr): readonly { readonly message: string; readonly span: Expr['span'] }[] {
  return callsIn(e).flatMap(({ name, args, member, span }) => {
    if (!isFunction(name))
      return [{ message: `there is no function \`${name}\`; there are ${Object.keys(FUNCTIONS).join(' and ')}`, span }];
    if (args.length !== 1) return [{ message: `${name} takes one address, as ${name}(0x5000)`, span }];
    const isPart = member === undefined || Object.hasOwn(FUNCTIONS[name], member);
    return isPart ? [] : [{ message: wrongPart(name, member), span }];
  });
}
