/**
 * The debug target's interface: the parts that an adapter asks, and of each what it may ask. `Session` (session.ts) is the one implementation; what a member
 * promises stands at the part's class.
 *
 * Control is asked for by an intention (`run.continue_`, `run.stepIn`, …) and carried out by calls of `run.advance`, each of which does at most
 * `budget` instructions' work and returns. The driver yields to the event loop between calls, so that `run.pause` is heard.
 * A user's mistakes are diagnostics in a Result; none of them ends the session.
 */
import type { Console } from './console/console';
import type { ExitHistory } from './exits/history';
import type { Disassembly } from './guest/disassembly';
import type { MemoryAccess } from './guest/memory';
import type { SymbolTable } from './guest/symbols';
import type { Program } from './launch/program';
import type { Breakpoints } from './run/breakpoints';
import type { OutputQueue } from './run/output-queue';
import type { RunControl } from './run/run-control';
import type { Frames } from './stack/frames';
import type { TableMaps } from './tables/map/index';
import type { Tables } from './tables/tables';
import type { Translate } from './translate/translation';
import type { Views } from './views';

type RunPart = Pick<
  RunControl,
  'continue_' | 'stepIn' | 'stepTargets' | 'stepOver' | 'stepOut' | 'pause' | 'advance' | 'stopAtDirectives'
> &
  Readonly<Pick<RunControl, 'stopped' | 'ended'>>;
interface TablesPart extends Pick<Tables, 'tlb' | 'pagemap' | 'memoryMap'> {
  readonly maps: Pick<TableMaps, 'sets' | 'page' | 'find' | 'strips'>;
}

export interface DebugTarget {
  /** What was launched. */
  readonly program: Program;
  readonly run: RunPart;
  /** What guest, breakpoints and checks write. */
  readonly output: Pick<OutputQueue, 'take'>;
  /** Each call that sets breakpoints replaces the set of its kind (of its file). */
  readonly breakpoints: Pick<
    Breakpoints,
    'setSource' | 'setInstruction' | 'setFunctions' | 'checkFunction' | 'setFilters'
  >;
  readonly stack: Pick<Frames, 'frames' | 'document'>;
  readonly symbols: Pick<SymbolTable, 'codeLines' | 'codeAt' | 'symbolOf'>;
  readonly memory: Pick<MemoryAccess, 'read' | 'edit'>;
  readonly disassembly: Pick<Disassembly, 'around'>;
  readonly views: Pick<Views, 'page' | 'statistics' | 'controls'>;
  readonly tables: TablesPart;
  /** What became of the run's time, exit by exit. */
  readonly exits: ExitHistory;
  readonly console: Pick<Console, 'evaluate' | 'assign' | 'setValue' | 'complete' | 'hover' | 'rowActions'>;
  readonly translate: Translate;
}
