import { globFault } from "../glob.ts";
import { text } from "./fields.ts";

/** Only checks the glob: who uses it compiles it. */
export function toolGlob() {
  const expected = "a glob over tool names, of 1000 characters at most";
  return text(expected, (glob) => glob !== "" && glob.length <= 1_000).superRefine((glob, context) => {
    const fault = globFault(glob);
    if (fault !== undefined) context.addIssue({ code: "custom", message: `must be ${expected}: ${fault}` });
  });
}
