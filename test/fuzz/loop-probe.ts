/** What one message may keep the loop from, in CPU time: wall time would be the machine's other work. */
export const LONGEST_TURN_MS = 50;

/**
 * Flags that make a node program measure its turns of the loop, and say what it holds. It answers two questions: `holdings`, as
 * `test/soak/probe.ts` has it, and `longest`: the CPU time of the longest turn since it was last asked, in ms.
 */
export const LOOP_PROBED: readonly string[] = ["--expose-gc", "--import", probe()];

function probe(): string {
  // A timer runs once a turn at most: what lies between two of its calls is one turn and the 5 ms to wait for it.
  const source = `
    import { readFileSync } from "node:fs";
    const STAT = "/proc/thread-self/schedstat";
    const ofThread = () => Number(readFileSync(STAT, "latin1").split(" ")[0]) / 1e6;
    const ofProcess = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1e3; };
    let cpu = ofProcess;
    try { if (ofThread() > 0) cpu = ofThread; } catch {}
    let [last, longest] = [cpu(), 0];
    const tick = () => { const now = cpu(); longest = Math.max(longest, now - last); last = now; };
    setInterval(tick, 5).unref();
    const answers = {
      longest: () => { tick(); const told = longest; longest = 0; return told; },
      holdings: () => {
        tick(); gc(); gc();
        const { heapUsed, external, rss } = process.memoryUsage();
        const resources = process.getActiveResourcesInfo();
        // Its own work is nobody's message.
        last = cpu();
        return { heap: heapUsed + external, resident: rss, resources };
      },
    };
    process.on("message", (question) => {
      if (Object.hasOwn(answers, question)) process.send({ answer: answers[question]() });
    });
    process.channel.unref();`;
  return `data:text/javascript,${encodeURIComponent(source)}`;
}
