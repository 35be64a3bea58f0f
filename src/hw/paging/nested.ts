import type { HostMemory } from '../memory/host-memory';
import type { Access } from './access';
import { updateEptAccessedDirty, walkEpt, type Eptp } from './ept';
import { updateNptAccessedDirty, walkNpt, type Npt } from './npt';
import type { TableKind, WalkStep } from './trace';
import type { WalkOut } from './walk-out';

/** The second level of a guest's translations: Intel's in a format of its own, or AMD's in the ordinary one. */
export type NestedTables = Eptp | Npt;

/** Whether it is the second level whose tables these are. */
export const isSecondLevel = (table: TableKind): table is 'ept' | 'npt' => table === 'ept' || table === 'npt';

/** GPA → HPA by whichever it is. Sets no flags. `physicalBits`: MAXPHYADDR. */
export const walkNested = (
  memory: HostMemory,
  tables: NestedTables,
  gpa: bigint,
  op: Access['op'],
  physicalBits: number,
  out: WalkOut,
  sink: ((step: WalkStep) => void) | undefined,
  loaded?: () => void,
): boolean =>
  tables.kind === 'ept'
    ? walkEpt(memory, tables, gpa, op, physicalBits, out, sink, loaded)
    : walkNpt(memory, tables, gpa, op, out, sink, loaded);

/** Sets accessed and dirty flags of the walk in `out`, where the tables have them. Result: entries written. */
export const updateNestedFlags = (memory: HostMemory, tables: NestedTables, write: boolean, out: WalkOut): number =>
  tables.kind === 'ept'
    ? updateEptAccessedDirty(memory, write, out)
    : updateNptAccessedDirty(memory, tables, write, out);
