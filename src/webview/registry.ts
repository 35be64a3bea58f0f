/** The panels, by id: the one place that names them all. */
import type { PanelId } from '../protocol/panels';
import type { PanelDefinition } from './panel';
import { exitsPanel } from './panels/exits';
import { pageTablesPanel } from './panels/page-tables';
import { statisticsPanel } from './panels/statistics';
import { tlbPanel } from './panels/tlb';
import { translationPanel } from './panels/translation';
import { vmcsPanel } from './panels/vmcs';
import { memoryMapPanel } from './panels/memory-map';
import { comparePanel } from './panels/compare';

export const REGISTRY: { readonly [K in PanelId]: PanelDefinition & { readonly id: K } } = {
  translation: translationPanel,
  'page-tables': pageTablesPanel,
  statistics: statisticsPanel,
  tlb: tlbPanel,
  vmcs: vmcsPanel,
  memoryMap: memoryMapPanel,
  exits: exitsPanel,
  compare: comparePanel,
};
