/**
 * The two-dimensional walk as a grid: a row per guest table entry and one for the page itself, a column per level of the
 * second-level walk and one for the guest's entry. Each cell is one load, numbered in the order of the walk: for four levels
 * by four, 24 (n·m + n + m).
 */
import type { Translation, WalkStage, WalkStep } from '../../../protocol/translation';

export interface Cell {
  readonly step: WalkStep;
  readonly order: number;
  readonly isGuest: boolean;
  readonly name: string;
  /** The cache that spares the next access this load. */
  readonly served?: string;
}

export interface Row {
  readonly name: string;
  /** By column; undefined where the walk needs no load there (a large page ends it early). */
  readonly cells: readonly (Cell | undefined)[];
}

function isWalk(stage: Translation['stages'][number]): stage is WalkStage {
  return stage.stage !== 'memslot';
}

const CACHES: Readonly<Record<number, string>> = { 2: 'PDE cache', 3: 'PDPTE cache', 4: 'PML4 cache', 5: 'PML5 cache' };

/**
 * The cache that answers for a load of the row of a guest entry (`level`; 0: of the page). A paging-structure cache knows where the table below lies in host memory
 * (SDM vol. 3, 28.4.1: combined mappings), so that it spares that table's second-level walk too.
 */
function servedBy({ tlb }: Translation, level: number, isOwn: boolean): string | undefined {
  if (tlb.hit) return 'TLB';
  const { walkStart } = tlb;
  if (walkStart === undefined || level < walkStart || (level === walkStart && isOwn) || level === 0) return undefined;
  return CACHES[walkStart + 1];
}

/** The rows of the grid, or none where no second level takes part. */
export function gridRows(translation: Translation): {
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
} {
  const { stages } = translation;
  const guest = stages.filter(isWalk).find(({ stage }) => stage === 'guest');
  const second = stages.filter(isWalk).find(({ stage }) => stage === 'ept' || stage === 'npt');
  if (!guest || !guest.steps.some(({ nested }) => nested.length > 0)) return { columns: [], rows: [] };
  const top = Math.max(
    ...guest.steps.flatMap(({ nested }) => nested.map(({ level }) => level)),
    ...(second?.steps ?? []).map(({ level }) => level),
  );
  const levels = Array.from({ length: top }, (_, index) => top - index);
  let order = 0;
  const row = (name: string, nested: readonly WalkStep[], own: WalkStep | undefined): Row => {
    const cell = (step: WalkStep, isGuest: boolean, what: string): Cell => {
      const served = servedBy(translation, own?.level ?? 0, isGuest);
      return { step, order: ++order, isGuest, name: what, ...(served === undefined ? {} : { served }) };
    };
    const cells: (Cell | undefined)[] = levels.map((level) => {
      const step = nested.find((each) => each.level === level);
      return step && cell(step, false, `${step.name} for the ${name}`);
    });
    cells.push(own && cell(own, true, `guest ${name}`));
    return { name, cells };
  };
  const rows = guest.steps.map((step) => row(step.name, step.nested, step));
  if (second && second.steps.length > 0) rows.push(row('page', second.steps, undefined));
  return { columns: [...levels.map((level) => `L${level}`), 'guest'], rows };
}
