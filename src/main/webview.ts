/** The browser side of the Translation view. */
import '../webview/index';
