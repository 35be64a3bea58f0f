/**
 * One VM exit being handled: the Steps done so far, the frames that stand above the guest's because of them, and the text that those frames
 * show for a source.
 */
import { hex } from '../base/hex';
import type { Step, TableAccess } from '../host/step';
import type { Actor, ExitView } from './types';

export interface HypervisorFrame {
  readonly actor: Exclude<Actor, 'guest'>;
  readonly mode: string;
  readonly name: string;
  /** 1-based line of the activity's text. */
  readonly line: number;
}

/** Who calls whom: the CPU exits to KVM; KVM calls into the host kernel, or returns to the VMM. */
const DEPTH: Readonly<Record<Exclude<Actor, 'guest'>, number>> = { cpu: 0, kvm: 1, host: 2, vmm: 2 };
const ACTOR_WIDTH = 5;
const FUNCTION_WIDTH = 28;

export class Activity {
  private readonly lines: string[];
  private stack: HypervisorFrame[];
  private count = 0;

  constructor(
    readonly exit: ExitView,
    title: string,
  ) {
    this.lines = [column('cpu', 'VM exit', `${title}. ${exit.why}`)];
    this.stack = [{ actor: 'cpu', mode: 'root', name: `VM exit ${exit.name}`, line: 1 }];
  }

  add(step: Step): void {
    this.count++;
    this.lines.push(column(step.actor, step.fn, describe(step)));
    if (step.actor === 'guest') return;
    const { actor } = step;
    const frame: HypervisorFrame = { actor, mode: step.mode, name: step.fn, line: this.lines.length };
    this.stack = [...this.stack.filter((f) => DEPTH[f.actor] < DEPTH[actor]), frame];
  }

  /** Steps done so far. */
  get steps(): number {
    return this.count;
  }
  /** How deep the present actor is in the calls: stepping over goes on while it is deeper. */
  get depth(): number {
    const top = this.stack.at(-1);
    return top ? DEPTH[top.actor] : 0;
  }
  /** Top frame first. */
  get frames(): readonly HypervisorFrame[] {
    return [...this.stack].reverse();
  }
  get name(): string {
    return `exit ${this.exit.count} ${this.exit.name}`;
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
