/** How long a person waits for the language server: a process of its own, spoken to as VS Code speaks to it. */
import { spawn } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import {
  createMessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type DocumentDiagnosticReport,
} from 'vscode-languageserver/node';
import { summary, type Times } from './adapter';

const URI = 'file:///bench/main.asm';

/** Functions with local labels, calls, data and comments, up to a number of lines. */
function bigSource(lines: number): string {
  const rows = ['bits 64', 'org 0x100000', '%define STEP 4'];
  for (let i = 0; rows.length < lines; i++)
    rows.push(
      `f${i}:`,
      `        mov     rax, [rbx + ${i}]      ; a comment`,
      '        add     rax, STEP',
      '.again: dec     rcx',
      '        jnz     .again',
      `        call    f${Math.max(0, i - 3)}`,
      `        mov     dword [rdi + 8], d${i}`,
      '        ret',
      `d${i}:     dq 0`,
      '',
    );
  return rows.slice(0, lines).join('\n');
}

/** From a keystroke in the middle of a file of 5,000 lines to its diagnostics, one after the other. */
export async function keystrokeTimes(server: string, count: number): Promise<Times> {
  const child = spawn(process.execPath, [server, '--stdio'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const client = createMessageConnection(new StreamMessageReader(child.stdout), new StreamMessageWriter(child.stdin));
  client.listen();
  try {
    await client.sendRequest('initialize', {
      processId: null,
      rootUri: null,
      capabilities: {},
      workspaceFolders: null,
    });
    const text = bigSource(5000);
    await client.sendNotification('textDocument/didOpen', {
      textDocument: { uri: URI, languageId: 'pagewalk-asm', version: 1, text },
    });
    const errors = async (): Promise<number> => {
      const report = await client.sendRequest<DocumentDiagnosticReport>('textDocument/diagnostic', {
        textDocument: { uri: URI },
      });
      return report.kind === 'full' ? report.items.length : 0;
    };
    // A person opens a file once; what follows is typing.
    for (let i = 0; i < 5; i++) await errors();
    const times: number[] = [];
    const typed = '        mov     rax, no_such_name\n';
    let at = { line: 2503, character: 0 };
    for (let i = 0; i < count; i++) {
      const letter = typed[i % typed.length] ?? '\n';
      const start = performance.now();
      await client.sendNotification('textDocument/didChange', {
        textDocument: { uri: URI, version: i + 2 },
        contentChanges: [{ range: { start: at, end: at }, text: letter }],
      });
      await errors();
      times.push(performance.now() - start);
      at = letter === '\n' ? { line: at.line + 1, character: 0 } : { line: at.line, character: at.character + 1 };
    }
    return summary(times);
  } finally {
    client.dispose();
    child.kill();
  }
}
