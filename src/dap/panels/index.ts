/** The requests of single panels: one file a panel. */
<<<<<<< HEAD
import { exitsRequests } from './exits';
=======
import { compareRequests } from './compare';
>>>>>>> 64eb159 (Compare panel: in the container, recorded and tested against pagewalk compare)
import { pageTablesRequests } from './page-tables';
import { statisticsRequests } from './statistics';
import { vmcsRequests } from './vmcs';

<<<<<<< HEAD
export const panelRequests = { ...exitsRequests, ...pageTablesRequests, ...statisticsRequests, ...vmcsRequests };
=======
export const panelRequests = { ...compareRequests, ...pageTablesRequests, ...statisticsRequests, ...vmcsRequests };
>>>>>>> 64eb159 (Compare panel: in the container, recorded and tested against pagewalk compare)
