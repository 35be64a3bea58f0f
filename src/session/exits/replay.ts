/**
 * The Steps of an exit that lies too far back for them to be kept: the guest runs once more from its start, on a machine of its own, up to that
 * exit. A machine is deterministic, so it comes to the same, unless somebody changed something by hand; whether it did is checked against what is
 * recorded. Driven in slices like a debug target; the machine stays where it is, so that the exits behind are near.
 */
import { ok } from '../../base/result';
import type { Answer } from '../answer';
import type { ExitDetail, ExitRow } from './history';
import type { Program } from '../launch/program';
import { Session } from '../session';

export class ExitReplay {
  private constructor(private readonly session: Session) {}

  static of(this: void, program: Program): Answer<ExitReplay> {
    const session = Session.create(program);
    return session.ok ? ok(new ExitReplay(session.value)) : session;
  }

  /** How many exits it has come to. */
  get count(): number {
    return this.session.exits.summary().count;
  }

  /** Whether the exit lies ahead, or its Steps are kept still; else another replay has to begin. */
  reaches(number: number): boolean {
    const { count, firstFull } = this.session.exits.summary();
    return number > count || number >= firstFull;
  }

  /** Goes on towards an exit, for at most `budget` instructions' work (run-control.ts); true: the exit is handled, or there is none. */
  run(number: number, budget: number): boolean {
    const { session } = this;
    if (session.run.ended || this.isHandled(number)) return true;
    if (session.run.stopped) session.run.continue_();
    session.run.advance(budget);
    session.output.take(); // heard once already
    return this.isHandled(number);
  }

  /** The exit, in full; undefined where this run came to another one. */
  exit(recorded: ExitRow): ExitDetail | undefined {
    const found = this.session.exits.exit(recorded.number);
    return found?.full && isSame(found.row, recorded) ? found : undefined;
  }

  private isHandled(number: number): boolean {
    const { exits } = this.session;
    const { count } = exits.summary();
    return count > number || (count === number && exits.exit(number)?.open === false);
  }
}

const isSame = (a: ExitRow, b: ExitRow): boolean =>
  a.name === b.name &&
  a.instructions === b.instructions &&
  a.start === b.start &&
  a.cost === b.cost &&
  a.address === b.address &&
  a.qualification === b.qualification &&
  a.gpa === b.gpa;
