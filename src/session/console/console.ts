/** What a person types or points at: expressions, assignments, commands, hovers, the values of rows. */
import { err } from '../../base/result';
import type { Machine } from '../../vmm/machine';
import type { Answer } from '../answer';
import { sessionError } from '../diagnostics';
import type { MemoryAccess } from '../guest/memory';
import { REGISTER_NAMES } from '../guest/registers';
import type { GuestView } from '../guest/view';
import type { Frames } from '../stack/frames';
import type { Translate } from '../translate/translation';
import { frameOfRoot, type Evaluation, type ViewNode } from '../types';
import type { Views } from '../views';
import { Assignment } from './assign';
import { splitAssignment } from './assignment-text';
import { evaluateExpression } from './evaluate';
import type { HostEvents } from './host-events';
import { hoverAt, type HoverAnswer } from './hover';
import { MONITOR_WORDS, hostCommand, monitor } from './monitor';
import type { Names } from './names';
import { rowActions, type RowAction } from './row-actions';

/** Where an expression is evaluated: with a guest frame's registers (those of the top frame are the CPU's). */
export interface EvaluateOptions {
  /** Default: the top guest frame. */
  readonly frame?: number;
  /** Whether commands that change something may be carried out: a console's yes, a watch's or a hover's no. Default: yes. */
  readonly acts?: boolean;
}

export interface ConsoleParts {
  readonly machine: Machine;
  readonly guest: GuestView;
  readonly memory: MemoryAccess;
  readonly names: Names;
  readonly stack: Frames;
  readonly views: Views;
  readonly events: HostEvents;
  readonly translate: Translate;
}

export class Console {
  constructor(private readonly parts: ConsoleParts) {}

  evaluate(text: string, options?: EvaluateOptions): Answer<Evaluation> {
    if (text.trim() === '') return err([sessionError('badExpression', 'there is nothing to evaluate', 'expression')]);
    const { guest, memory, machine, views, events } = this.parts;
    const names = this.namesOf(options);
    const assignment = options?.acts === false ? undefined : splitAssignment(text);
    if (assignment) return this.assign(assignment.target, assignment.value, options);
    return (
      hostCommand(events, text, options?.acts !== false) ??
      monitor({ guest, memory, names, machine, statistics: () => views.statistics() }, text) ??
      evaluateExpression(text, names)
    );
  }
  /** Assigns to a register, flag, or memory operand. */
  assign(target: string, value: string, options?: EvaluateOptions): Answer<Evaluation> {
    return this.assignment(this.namesOf(options)).assign(target, value);
  }
  /** `path`: of a row of a view that says `editable`. */
  setValue(path: string, text: string): Answer<string> {
    const { level } = frameOfRoot(path.split('/')[0] ?? '');
    return this.assignment(this.namesAt(level)).setValue(path, text);
  }
  private assignment(names: Names): Assignment {
    const { guest, memory, views, machine } = this.parts;
    return new Assignment(guest, memory, names, views, machine);
  }

  /** Names with the registers of a frame; those of a hypervisor's frame are the top guest frame's. */
  private namesOf({ frame = 0 }: EvaluateOptions = {}): Names {
    return this.namesAt(this.parts.stack.levelOf(frame));
  }
  private namesAt(level: number): Names {
    const { names, stack } = this.parts;
    const registers = level === 0 ? undefined : stack.registersAt(level);
    return registers ? names.at(registers) : names;
  }

  /** Names that may stand where `text` ends. */
  complete(text: string): readonly string[] {
    const { names } = this.parts;
    const word = /[\w.@$]*$/.exec(text)?.[0] ?? '';
    // after the first word of a two-word command only its second ones fit
    const typed = text.trimStart().toLowerCase();
    const seconds = typed.includes(' ')
      ? MONITOR_WORDS.filter((w) => w.startsWith(typed)).map((w) => w.slice(w.indexOf(' ') + 1))
      : [];
    if (seconds.length > 0) return seconds;
    const all =
      text.trim() === word
        ? [...MONITOR_WORDS, ...names.all()]
        : [...REGISTER_NAMES, ...names.symbols.names, ...names.constantNames];
    return [...new Set(all)].filter((n) => n.toLowerCase().startsWith(word.toLowerCase())).slice(0, 100);
  }

  /** What stands under a 1-based column of a source line: see src/expr's findOperandAt. */
  hover(line: string, column: number, options?: EvaluateOptions): HoverAnswer | undefined {
    return hoverAt(line, column, this.namesOf(options), this.parts.translate);
  }

  /** What the menu of a row of a view may offer. */
  rowActions(node: ViewNode): readonly RowAction[] {
    const { machine, events } = this.parts;
    return rowActions(machine, node, (at) => events.hvaOf({ kind: 'address', ...at }));
  }
}
