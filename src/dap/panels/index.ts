/** The requests of single panels: one file a panel. */
import { statisticsRequests } from './statistics';

export const panelRequests = { ...statisticsRequests };
