/** Threads, call stack, scopes, sources, and what the exception at a stop is. */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { assertUnreachable } from '../base/assert';
import { hex } from '../base/hex';
import type { Actor, FrameView, Location } from '../session/types';
import { viewInFrame, viewRootsOf } from '../session/types';
import { compact } from './compact';
import type { AdapterContext } from './context';
import { requestError } from './errors';
import type { Handlers } from './requests';
import { exceptionInfo } from './stops';

/** A VCPU is a thread. There is one. */
export const THREAD_ID = 1;

/** The only thread that there is; a request that names another one is refused. */
export function requireThread(id: number | undefined): void {
  if (id !== undefined && id !== THREAD_ID)
    throw requestError('badReference', `there is no thread ${id}; the one thread is ${THREAD_ID}, the VCPU`);
}

/** DAP leaves frame ids to us; 0 is avoided, since some clients take it for none. */
const frameIdOf = (frame: FrameView): number => frame.id + 1;
/** The frame that a request names, of those of the present stop. */
export function frameOfId(adapter: AdapterContext, id: number | undefined): { frame?: number } {
  if (id === undefined) return {};
  const { frames } = adapter;
  if (!Number.isInteger(id) || id < 1 || id > frames.length)
    throw requestError('badReference', `there is no frame ${id}; the call stack has frames 1 to ${frames.length}`);
  return { frame: id - 1 };
}
/** For a panel that may not yet know that the guest stopped elsewhere: the frame it names may be gone. */
export const frameIfThere = (adapter: AdapterContext, id: number | undefined): { frame?: number } =>
  id !== undefined && id >= 1 && id <= adapter.frames.length ? { frame: id - 1 } : {};

function actorName(actor: Actor): string {
  switch (actor) {
    case 'guest':
      return 'guest';
    case 'cpu':
      return 'CPU';
    case 'kvm':
      return 'KVM';
    case 'host':
      return 'host kernel';
    case 'vmm':
      return 'VMM';
    default:
      return assertUnreachable(actor);
  }
}

function stackFrame(adapter: AdapterContext, frame: FrameView, format: Dap.StackFrameFormat = {}): Dap.StackFrame {
  const { client } = adapter;
  const document = documentOf(adapter, frame);
  const { location } = frame;
  const line = location ? client.lineIn(location.file, location.line) : clientLine(adapter, frame.document?.line);
  const name = frame.kind === 'guest' ? frame.name : `${frame.name} (${actorName(frame.actor)}, ${frame.mode})`;
  return compact<Dap.StackFrame>({
    id: frameIdOf(frame),
    name: format.line && line !== undefined ? `${name}:${line}` : name,
    source: location ? guestSource(adapter, location) : document && sourceOf(document),
    line: line ?? 0,
    column: line === undefined ? 0 : client.column(location?.column ?? 1),
    instructionPointerReference: frame.address === undefined ? undefined : hex(frame.address),
  });
}

const clientLine = ({ client }: AdapterContext, line: number | undefined): number | undefined =>
  line === undefined ? undefined : client.line(line);

/** If a frame's line no longer exists, the frame says so: the instruction belongs to the running image. */
function guestSource({ client }: AdapterContext, { file, line }: Location): Dap.Source {
  const source = client.source(file);
  if (client.edited.toCurrent(file, line).exact) return source;
  return {
    ...source,
    origin: `line ${line} as assembled, which has changed since; restart the guest to run the new text`,
  };
}

interface NamedReference {
  readonly name: string;
  readonly reference: number;
}
function documentOf(adapter: AdapterContext, { document }: FrameView): NamedReference | undefined {
  const text = document && adapter.target.stack.document(document.id);
  return text === undefined ? undefined : adapter.documents.of(document?.name ?? '', text);
}

const sourceOf = ({ name, reference }: NamedReference): Dap.Source => ({
  name,
  sourceReference: reference,
  origin: 'what the hypervisor does, one line per step',
});

export const stackRequests: Handlers<
  'threads' | 'stackTrace' | 'scopes' | 'source' | 'loadedSources' | 'exceptionInfo'
> = {
  threads() {
    return { threads: [{ id: THREAD_ID, name: 'VCPU 0' }] };
  },

  stackTrace(adapter, args) {
    requireThread(args.threadId);
    const { frames } = adapter;
    const start = args.startFrame ?? 0;
    const wanted = frames.slice(start, args.levels ? start + args.levels : undefined);
    return { stackFrames: wanted.map((frame) => stackFrame(adapter, frame, args.format)), totalFrames: frames.length };
  },

  /** The VCPU and its tables, the same for every frame; of registers, those of the frame. */
  scopes(adapter, args) {
    const { references, stopped: target } = adapter;
    const { frame } = frameOfId(adapter, args.frameId);
    const level = frame === undefined ? 0 : (adapter.frames[frame]?.level ?? 0);
    return {
      scopes: viewRootsOf(target.program.settings.mmu).map(({ path, name, expensive }) =>
        compact<Dap.Scope>({
          name,
          presentationHint: path === 'registers' ? 'registers' : undefined,
          variablesReference: references.of(viewInFrame(path, level)),
          expensive,
        }),
      ),
    };
  },

  source(adapter, args) {
    const document = adapter.documents.get(args.source?.sourceReference ?? args.sourceReference);
    if (!document)
      throw requestError('badReference', 'this document is no longer kept; step into an exit to make a new one');
    return { content: document.text, mimeType: 'text/plain' };
  },

  /** The guest's files that gave rise to code, and the documents that an editor may still show. */
  loadedSources(adapter) {
    const { launched, client, documents } = adapter;
    const files = launched ? new Set([launched.program, ...launched.target.program.symbols.files]) : [];
    return { sources: [...[...files].map((file) => client.source(file)), ...documents.all.map(sourceOf)] };
  },

  exceptionInfo(adapter, args) {
    requireThread(args.threadId);
    const stop = adapter.stopped.run.stopped;
    const { failure } = adapter;
    if (failure !== undefined)
      return { exceptionId: 'Internal error in Pagewalk', description: failure, breakMode: 'always' };
    if (!stop) throw requestError('running', 'the guest is not stopped at anything');
    return exceptionInfo(stop);
  },
};
