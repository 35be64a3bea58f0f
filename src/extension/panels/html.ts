/** A panel's page: one script, one style sheet, nothing inline, nothing external. */
import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import type { PANELS } from '../../protocol/panels';

export function pageOf(
  { id, title }: (typeof PANELS)[number],
  place: 'editor' | 'sidebar',
  webview: vscode.Webview,
  dist: vscode.Uri,
): string {
  const nonce = randomBytes(16).toString('base64');
  const uri = (file: string): string => webview.asWebviewUri(vscode.Uri.joinPath(dist, file)).toString();
  const policy = `default-src 'none'; style-src ${webview.cspSource}; font-src ${webview.cspSource}; script-src 'nonce-${nonce}'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${uri('webview.css')}">
<title>${title}</title>
</head>
<body data-panel="${id}" data-place="${place}">
<script nonce="${nonce}" src="${uri('webview.js')}"></script>
</body>
</html>`;
}
