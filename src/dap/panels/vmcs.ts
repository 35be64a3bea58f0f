/** The requests of the VMCS panel (src/protocol/panels/vmcs.ts). */
import type { ControlStructureReply } from '../../protocol/panels/vmcs';
import { encode } from '../../wire/encode';
import { compact } from '../compact';
import { requestError } from '../errors';
import { type Handlers } from '../requests';

/** Roots of the paths of fields. */
const KINDS = ['vmcs', 'vmcb'] as const;

export const vmcsRequests: Handlers<'pagewalk/controlStructure' | 'pagewalk/setControlField'> = {
  'pagewalk/controlStructure'(adapter) {
    const { views, exits } = adapter.stopped;
    const structure = encode(views.controls());
    const compared = structure.kind === 'none' ? undefined : exits.compared;
    return compact<ControlStructureReply>({
      ...structure,
      since: compared && { exit: compared.number, name: compared.name },
    });
  },

  'pagewalk/setControlField'(adapter, { path, value }) {
    if (!KINDS.some((kind) => path.startsWith(`${kind}/`))) throw requestError('badArgument', `${path} is not a field`);
    return { value: adapter.change(() => adapter.unwrap(adapter.stopped.console.setValue(path, value))) };
  },
};
