import { nativeCalls } from "./koffi.ts";

/** glibc's malloc_trim: gives free pages back also from the middle of its heap; undefined where there is none (musl). */
export const trimMemory = nativeCalls((koffi) => {
  const trim = koffi.load(null).func("int malloc_trim(size_t keep)");
  return (): void => {
    trim(0);
  };
});
