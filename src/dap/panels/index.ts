/** The requests of single panels: one file a panel. */
import { statisticsRequests } from './statistics';
import { vmcsRequests } from './vmcs';

export const panelRequests = { ...statisticsRequests, ...vmcsRequests };
