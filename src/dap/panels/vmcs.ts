/** The requests of the VMCS panel (src/protocol/panels/vmcs.ts): the rows of the Variables view, whole. */
import { hex } from '../../base/hex';
import type {
  ControlArea,
  ControlBits,
  ControlField,
  ControlStructureReply,
  UnmetEntryCheck,
} from '../../protocol/panels/vmcs';
import type { DebugTarget } from '../../session/api';
import type { ViewNode } from '../../session/types';
import { encode } from '../../wire/encode';
import { compact } from '../compact';
import { requestError } from '../errors';
import { type Handlers } from '../requests';

/** The view of whichever the machine has; its rows' paths say which. */
const ROOT = 'vmcs';
const KINDS = ['vmcs', 'vmcb'] as const;
const CHECKS = 'checks';

const rows = (target: DebugTarget, path: string): readonly ViewNode[] => {
  const found = target.views.page(path);
  return found.ok ? found.value.nodes : [];
};

/** What it was at the exit before, where it was another value. */
const beforeOf = ({ before, raw }: ViewNode): string | undefined => (before?.raw === raw ? undefined : before?.value);

/** A row's value begins with the number; what follows is its meaning. */
function field(target: DebugTarget, node: ViewNode): ControlField {
  const number = hex(node.raw ?? 0n);
  return compact<ControlField>({
    path: node.path,
    name: node.name,
    value: number,
    before: beforeOf(node),
    meaning: node.value.startsWith(number) ? node.value.slice(number.length).trim() : node.value,
    about: node.detail ?? [],
    bits: (node.children > 0 ? rows(target, node.path) : []).map((part) =>
      compact<ControlBits>({
        name: part.name,
        where: part.detail?.[0] ?? '',
        value: hex(part.raw ?? 0n),
        text: part.value === hex(part.raw ?? 0n) ? '' : part.value,
        before: beforeOf(part),
      }),
    ),
    address: node.address && encode(node.address),
    editable: node.editable,
  });
}

function structure(target: DebugTarget): ControlStructureReply {
  const groups = rows(target, ROOT).filter((node) => node.kind === 'group');
  const kind = KINDS.find((each) => groups[0]?.path.startsWith(`${each}/`));
  if (!kind) return { kind: 'none', areas: [], unmet: [] };
  const idOf = (node: ViewNode): string => node.path.slice(node.path.lastIndexOf('/') + 1);
  const areas = groups
    .filter((node) => idOf(node) !== CHECKS)
    .map((node): ControlArea => {
      const fields = rows(target, node.path).map((each) => field(target, each));
      return { id: idOf(node), name: node.name, note: node.value, fields };
    });
  const unmet = rows(target, `${kind}/${CHECKS}`).map((node): UnmetEntryCheck => ({
    fields: node.name.split(', '),
    what: node.value,
    source: node.detail?.[0] ?? '',
  }));
  const { compared } = target.exits;
  const since = compared && { exit: compared.number, name: compared.name };
  return compact<ControlStructureReply>({ kind, areas, unmet, since });
}

export const vmcsRequests: Handlers<'pagewalk/controlStructure' | 'pagewalk/setControlField'> = {
  'pagewalk/controlStructure'(adapter) {
    return structure(adapter.stopped);
  },

  'pagewalk/setControlField'(adapter, { path, value }) {
    if (!KINDS.some((kind) => path.startsWith(`${kind}/`))) throw requestError('badArgument', `${path} is not a field`);
    return { value: adapter.change(() => adapter.unwrap(adapter.stopped.console.setValue(path, value))) };
  },
};
