import type { DebugProtocol as Dap } from '@vscode/debugprotocol';
import { hex } from '../base/hex';
import type { ExitView, FaultInChain, StopInfo } from '../session/types';
import { compact } from './compact';

/** DAP's reason for a stop. Exits, faults and failures are exceptions: for those VS Code asks what happened and shows it. */
export function stopReason(stop: StopInfo): string {
  switch (stop.kind) {
    case 'entry':
    case 'step':
    case 'pause':
    case 'breakpoint':
      return stop.kind;
    case 'instruction-breakpoint':
      return 'instruction breakpoint';
    case 'function-breakpoint':
      // `exit:NAME` stops at an exit, which wants explaining; a label does not.
      return stop.exit ? 'exception' : 'function breakpoint';
    case 'vm-exit':
    case 'ept-violation':
    case 'guest-pf':
    case 'guest-exception':
    case 'assert':
    case 'triple-fault':
    case 'internal-error':
    case 'entry-failure':
    case 'limit':
      return 'exception';
  }
}

const KIND_NAMES: Readonly<Partial<Record<StopInfo['kind'], string>>> = {
  'guest-pf': '#PF',
  assert: '@assert',
  'triple-fault': 'TRIPLE_FAULT',
  'internal-error': 'KVM_EXIT_INTERNAL_ERROR',
  'entry-failure': 'KVM_EXIT_FAIL_ENTRY',
  limit: 'instruction limit',
};

/** What VS Code's exception widget shows: the exit's name, what happened and why, and the exit's fields one by one. */
export function exceptionInfo(stop: StopInfo): Dap.ExceptionInfoResponse['body'] {
  const { exit } = stop;
  const { reason } = stop;
  const fault = stop.kind === 'guest-exception' ? reason?.[0] : undefined;
  const name = exit?.name ?? fault?.event ?? KIND_NAMES[stop.kind] ?? stop.kind;
  return compact<Dap.ExceptionInfoResponse['body']>({
    exceptionId: name,
    description: stop.why === stop.title ? stop.title : `${stop.title}\n${stop.why}`,
    breakMode: 'always',
    details: compact<Dap.ExceptionDetails>({
      message: stop.why,
      typeName: name,
      fullTypeName: exit ? `VM exit ${exit.reason}: ${exit.name}` : name,
      stackTrace: exit ? exitLines(exit).join('\n') : reason?.map(reasonLine).join('\n'),
      innerException: reason?.map((r) => ({ message: r.why, typeName: r.event, fullTypeName: reasonLine(r) })),
    }),
  });
}

/** `#GP(0x0) at 0x100010: …`. */
function reasonLine({ event, error, rip, address, why }: FaultInChain): string {
  const code = error === undefined ? '' : `(${hex(error)})`;
  const at = address === undefined ? '' : `, address ${hex(address)}`;
  return `${event}${code} at ${hex(rip)}${at}: ${why}`;
}

/** The exit's fields as two columns. */
function exitLines(exit: ExitView): string[] {
  const address = (name: string, value: bigint | undefined): Row[] => (value === undefined ? [] : [[name, hex(value)]]);
  const rows: Row[] = [
    ['exit', `no. ${exit.count}, reason ${exit.reason} (${exit.name})`],
    ...address('guest RIP', exit.rip),
    ...address('guest linear', exit.gva),
    ...address('guest physical', exit.gpa),
    ...(exit.slot === undefined ? [] : [['memslot', exit.slot < 0 ? 'none: a hole' : String(exit.slot)] as const]),
    [exit.qualificationName ?? 'qualification', hex(exit.qualification)],
    ...exit.decoded.map(({ name, value }) => [`  ${name}`, value] as const),
    ['instructions before', String(exit.instructions)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
}
type Row = readonly [name: string, value: string];
