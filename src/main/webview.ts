/** The browser side of the panels. */
import '../webview/index';
