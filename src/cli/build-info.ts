declare const __PILOTFISH_VERSION__: string;
declare const __PILOTFISH_COMMIT__: string;

/** Version and commit of this build; "development" when the sources run without the bundle. */
export function buildInfo(): { readonly version: string; readonly commit: string } {
  return {
    version: typeof __PILOTFISH_VERSION__ === "string" ? __PILOTFISH_VERSION__ : "development",
    commit: typeof __PILOTFISH_COMMIT__ === "string" ? __PILOTFISH_COMMIT__ : "unknown",
  };
}
