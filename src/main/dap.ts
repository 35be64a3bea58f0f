import { DebugSession } from '@vscode/debugadapter';

DebugSession.run(DebugSession);
