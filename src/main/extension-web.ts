/** The extension as VS Code loads it in a browser. */
export { activate, deactivate } from '../extension/web';
