/**
 * One VM exit being handled, or what an instruction causes in a VMM that emulates the CPU: the Steps done so far, the frames that stand above the guest's because of them, and the text that those frames
 * show for a source.
 */
import { hex } from '../../base/hex';
import { counted } from '../../base/plural';
import type { Step, TableAccess } from '../../trace/step';
import type { Actor, ExitView } from '../types';
import type { OutsideCause } from '../../vmm/machine-stop';

export interface HypervisorFrame {
  readonly actor: Exclude<Actor, 'guest'>;
  readonly mode: string;
  readonly name: string;
  /** 1-based line of the activity's text. */
  readonly line: number;
}

/** Who calls whom: the CPU exits to KVM; KVM calls into the host kernel, or returns to the VMM. */
const DEPTH: Depths = { cpu: 0, kvm: 1, host: 2, vmm: 2 };
/** Under emulation the VMM's own access makes the CPU fault into the host kernel. */
const EMULATED_DEPTH: Depths = { vmm: 0, cpu: 1, kvm: 1, host: 2 };
type Depths = Readonly<Record<Exclude<Actor, 'guest'>, number>>;
const ACTOR_WIDTH = 5;
const FUNCTION_WIDTH = 28;

export class Activity {
  private readonly lines: string[];
  private stack: HypervisorFrame[];
  private count = 0;

  private constructor(
    /** What its text is called. */
    readonly name: string,
    readonly exit: ExitView | undefined,
    first: Omit<HypervisorFrame, 'line'>,
    firstLine: string,
    private readonly depths: Depths,
  ) {
    this.lines = [firstLine];
    this.stack = [{ ...first, line: 1 }];
  }

  static ofExit(exit: ExitView, title: string): Activity {
    return new Activity(
      `exit ${exit.count} ${exit.name}`,
      exit,
      { actor: 'cpu', mode: 'root', name: `VM exit ${exit.name}` },
      column('cpu', 'VM exit', `${title}. ${exit.why}`),
      DEPTH,
    );
  }
  /** `at`: guest instructions before, which tells one from the next. */
  static ofEmulation({ fn, why }: OutsideCause, at: number): Activity {
    return new Activity(
      `${fn} after ${counted(at, 'instruction')}`,
      undefined,
      { actor: 'vmm', mode: 'user', name: fn },
      column('vmm', fn, why),
      EMULATED_DEPTH,
    );
  }

  add(step: Step): void {
    this.count++;
    this.lines.push(column(step.actor, step.fn, describe(step)));
    if (step.actor === 'guest') return;
    const { actor } = step;
    const frame: HypervisorFrame = { actor, mode: step.mode, name: step.fn, line: this.lines.length };
    this.stack = [...this.stack.filter((f) => this.depths[f.actor] < this.depths[actor]), frame];
  }

  /** Steps done so far. */
  get steps(): number {
    return this.count;
  }
  /** How deep the present actor is in the calls: stepping over goes on while it is deeper. */
  get depth(): number {
    const top = this.stack.at(-1);
    return top ? this.depths[top.actor] : 0;
  }
  /** Top frame first. */
  get frames(): readonly HypervisorFrame[] {
    return [...this.stack].reverse();
  }
  text(): string {
    return this.lines.join('\n') + '\n';
  }
}

const column = (actor: string, fn: string, text: string): string =>
  `${actor.padEnd(ACTOR_WIDTH)} ${fn.padEnd(FUNCTION_WIDTH)} ${text}`;

/** What a step did, with the entries and fields that it read and wrote. */
function describe(step: Step): string {
  const parts = [
    ...step.reads.map((a) => `read ${tableEntry(a)} = ${hex(a.value)}`),
    ...step.writes.map(
      (a) => `wrote ${tableEntry(a)}${a.previous === undefined ? '' : ` ${hex(a.previous)}`} → ${hex(a.value)}`,
    ),
    ...step.vmcs.map((v) =>
      v.of === 'vmcb'
        ? `VMCB ${v.field} ${v.op === 'read' ? '=' : '←'} ${hex(v.value)}`
        : v.op === 'read'
          ? `vmread ${v.field} = ${hex(v.value)}`
          : `vmwrite ${v.field} ← ${hex(v.value)}`,
    ),
  ];
  return parts.length === 0 ? step.what : `${step.what}    ; ${parts.join(', ')}`;
}

const tableEntry = (a: TableAccess): string => `${a.table} level ${a.level} [${a.index}] at ${hex(a.address)}`;
