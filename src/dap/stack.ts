/** Threads, call stack, scopes, sources, and what the exception at a stop is. */
import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { assertUnreachable } from '../base/assert';
import { hex } from '../base/hex';
import type { Actor, FrameView } from '../session/types';
import { viewRootsOf } from '../session/types';
import type { Adapter } from './adapter';
import { requestError } from './errors';
import type { Handlers } from './requests';
import { compact } from './requests';
import { exceptionInfo } from './stops';

/** A VCPU is a thread. There is one. */
export const THREAD_ID = 1;

/** DAP leaves frame ids to us; 0 is kept free, since some clients take it for none. */
const frameIdOf = (frame: FrameView): number => frame.id + 1;
export const frameOfId = (id: number | undefined): { frame?: number } =>
  id === undefined || id < 1 ? {} : { frame: id - 1 };

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

function stackFrame(adapter: Adapter, frame: FrameView): Dap.StackFrame {
  const { client } = adapter;
  const document = documentOf(adapter, frame);
  const line = frame.location?.line ?? frame.document?.line;
  return compact<Dap.StackFrame>({
    id: frameIdOf(frame),
    name: frame.kind === 'guest' ? frame.name : `${frame.name} (${actorName(frame.actor)}, ${frame.mode})`,
    source: frame.location ? client.source(frame.location.file) : document && sourceOf(document),
    line: line === undefined ? 0 : client.line(line),
    column: line === undefined ? 0 : client.column(frame.location?.column ?? 1),
    instructionPointerReference: frame.address === undefined ? undefined : hex(frame.address),
  });
}

interface NamedReference {
  readonly name: string;
  readonly reference: number;
}
function documentOf(adapter: Adapter, { document }: FrameView): NamedReference | undefined {
  const text = document && adapter.target.document(document.id);
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
    const frames = adapter.stopped.frames();
    const start = args.startFrame ?? 0;
    const wanted = frames.slice(start, args.levels ? start + args.levels : undefined);
    return { stackFrames: wanted.map((frame) => stackFrame(adapter, frame)), totalFrames: frames.length };
  },

  /** The same for every frame: they show the VCPU and its tables, not a function's variables. */
  scopes(adapter) {
    const { references, target } = adapter;
    return {
      scopes: viewRootsOf(target.program.settings.mmu).map(({ path, name, expensive }) =>
        compact<Dap.Scope>({
          name,
          presentationHint: path === 'registers' ? 'registers' : undefined,
          variablesReference: references.of(path),
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

  loadedSources(adapter) {
    const { launched, client } = adapter;
    const documents = adapter.loop.running ? [] : adapter.target.frames().map((frame) => documentOf(adapter, frame));
    const found = documents.filter((each) => each !== undefined).map(sourceOf);
    return { sources: [...(launched ? [client.source(launched.program)] : []), ...found] };
  },

  exceptionInfo(adapter) {
    const stop = adapter.stopped.stopped;
    const { failure } = adapter;
    if (failure !== undefined) return { exceptionId: 'Pagewalk failed', description: failure, breakMode: 'always' };
    if (!stop) throw requestError('running', 'the guest is not stopped at anything');
    return exceptionInfo(stop);
  },
};
