import type { CallRecipe, Checkpoint, TaskStore } from "../stores/task-store.ts";

/** What it takes to go on with a call that has been sent. */
export function asSent(recipe: CallRecipe): CallRecipe {
  if (recipe.mayRepeat) return recipe;
  const { params: _, answers: _answers, ...rest } = recipe;
  return rest;
}

/** A checkpoint as it may be written down: cookies may be credentials, which are kept only where nobody can read them. */
export function storable(checkpoint: Checkpoint, { isSealed }: Pick<TaskStore, "isSealed">): Checkpoint {
  if (isSealed || checkpoint.session.cookies === undefined) return checkpoint;
  const { cookies: _, ...session } = checkpoint.session;
  return { ...checkpoint, session };
}
