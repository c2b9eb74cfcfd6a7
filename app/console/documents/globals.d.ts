// What the application around the blocks of the documents declares.

declare const button: HTMLButtonElement;
declare const message: HTMLElement;
declare function showError(text: string): void;
/** The first example of the hooks. */
declare function GitHubButton(): import("react").ReactElement;
