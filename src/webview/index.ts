/** One bundle for all panels: the page's body says which one it is, and where it stands. */
import { PANELS } from '../protocol/panels';
import { mount } from './frame';
import { REGISTRY } from './registry';

const { panel, place } = document.body.dataset;
const found = PANELS.find(({ id }) => id === panel);
if (found) mount(REGISTRY[found.id], place === 'editor' ? 'editor' : 'sidebar');
