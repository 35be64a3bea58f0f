/** The extension as VS Code loads it. */
export { activate, deactivate } from '../extension/index';
