/** The requests of single panels: one file a panel. */
import { compareRequests } from './compare';
import { exitsRequests } from './exits';
import { pageTablesRequests } from './page-tables';
import { statisticsRequests } from './statistics';
import { vmcsRequests } from './vmcs';

export const panelRequests = {
  ...compareRequests,
  ...exitsRequests,
  ...pageTablesRequests,
  ...statisticsRequests,
  ...vmcsRequests,
};
