import type { HostMemory } from '../memory/host-memory';
import type { Access } from './access';
import { updateEptAccessedDirty, walkEpt, type Eptp } from './ept';
import { updateNptAccessedDirty, walkNpt, type Npt } from './npt';
import { SecondLevelWalk } from './second-level-walk';
import type { TableKind, WalkSink } from './trace';
import type { WalkOut } from './walk-out';

/** The second level of a guest's translations: Intel's in a format of its own, or AMD's in the ordinary one. */
export type SecondLevelTables = Eptp | Npt;

/** Whether it is the second level whose tables these are. */
export const isSecondLevel = (table: TableKind): table is 'ept' | 'npt' => table === 'ept' || table === 'npt';

/** GPA → HPA in tables of either kind. Sets no flags. False: the failure is in `walk.out`. */
export const walkSecondLevel = (
  walk: SecondLevelWalk,
  tables: SecondLevelTables,
  gpa: bigint,
  op: Access['op'],
): boolean => (tables.kind === 'ept' ? walkEpt(walk, tables, gpa, op) : walkNpt(walk, tables, gpa, op));

/** Where a single second-level walk leads. `physicalBits`: MAXPHYADDR. `sink` gets its steps, as of the final address. */
export function translateSecondLevel(
  { memory, tables, physicalBits }: { memory: HostMemory; tables: SecondLevelTables; physicalBits: number },
  gpa: bigint,
  op: Access['op'],
  sink?: WalkSink,
): { readonly ok: boolean; readonly out: WalkOut } {
  const walk = new SecondLevelWalk(memory, physicalBits);
  walk.sink = sink;
  return { ok: walkSecondLevel(walk, tables, gpa, op), out: walk.out };
}

/** Sets accessed and dirty flags over the walk just made, where the tables have them. Returns how many entries were written. */
export const updateSecondLevelFlags = (walk: SecondLevelWalk, tables: SecondLevelTables, write: boolean): number =>
  tables.kind === 'ept' ? updateEptAccessedDirty(walk, write) : updateNptAccessedDirty(walk, write);
