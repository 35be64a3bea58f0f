/*
 * VS Code's side of a panel's page, in the page: what acquireVsCodeApi gives. Requests are answered from the recording, or by
 * `pagewalkAsk` (a live debug adapter) where the page has one. `standAlone` is what tests look at.
 */
/* global SETUP, window */
(() => {
  const { moment, settings, exchanges = [], kept, command, cursor } = SETUP;
  const post = (message) => window.postMessage(message, '*');
  const key = (name, args) => `${name} ${JSON.stringify({ ...args, frameId: undefined, moment: undefined })}`;
  const recorded = new Map(exchanges.map((each) => [key(each.name, each.arguments), each]));
  const standAlone = { sent: [], acts: [], kept, missing: [], open: 0, post };
  window.standAlone = standAlone;

  async function answer({ id, name, arguments: args }) {
    standAlone.open++;
    try {
      const found = recorded.get(key(name, args));
      const result = found ?? (window.pagewalkAsk && (await window.pagewalkAsk(name, args)));
      if (!result) standAlone.missing.push(key(name, args));
      if (result && 'reply' in result) post({ kind: 'reply', id, body: result.reply });
      else post({ kind: 'refused', id, message: result ? result.refused : 'This request was not recorded.' });
    } finally {
      standAlone.open--;
    }
  }

  window.acquireVsCodeApi = () => ({
    getState: () => standAlone.kept,
    setState: (value) => {
      standAlone.kept = value;
    },
    postMessage: (message) => {
      standAlone.sent.push(message);
      if (message.kind === 'request') void answer(message);
      else if (message.kind === 'act') standAlone.acts.push(message.action);
      else if (message.kind === 'loaded') {
        post({ kind: 'settings', settings });
        if (cursor) post({ kind: 'cursor', cursor });
        if (command) post({ kind: 'command', command });
        post({ kind: 'moment', moment });
      }
    },
  });
})();
