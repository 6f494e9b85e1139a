/** In a program that was started by `Programs`: answers what `Program.ask` asks, or says why it cannot. */
export function answerQuestions<Q>(answer: (question: Q) => unknown): void {
  process.on("message", async (question: Q) => {
    try {
      process.send?.({ answer: await answer(question) });
    } catch (error) {
      process.send?.({ fault: error instanceof Error ? error.message : String(error) });
    }
  });
}
