import { randomInt } from "node:crypto";

/** Choices that look random and can be made again. */
export interface Random {
  /** An integer from `least` to `most`, both included. */
  between(least: number, most: number): number;
  one<T>(things: readonly [T, ...T[]]): T;
  /** The same things in another order. */
  shuffled<T>(things: readonly T[]): T[];
  /** Choices of its own, for whoever runs beside others: so that it does not matter who comes first. */
  apart(): Random;
}

/** Says its seed, so that `SEED=<seed>` makes the same choices again; when which process does what is up to the machine. */
export function seeded(name: string): Random {
  const seed = process.env.SEED === undefined ? randomInt(2 ** 32) : Number(process.env.SEED);
  console.log(`${name}: SEED=${seed}`);
  return randomFrom(seed);
}

/** A generator of 32 bits that counts in steps of the golden ratio and mixes what it has counted. */
export function randomFrom(seed: number): Random {
  let counted = seed >>> 0;
  const next = (): number => {
    counted = (counted + 0x9e3779b9) >>> 0;
    let mixed = counted;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  const between = (least: number, most: number) =>
    least + Math.floor((next() / 2 ** 32) * (most - least + 1));
  return {
    between,
    one: <T>(things: readonly [T, ...T[]]) => things[between(0, things.length - 1)] as T,
    shuffled: (things) => {
      const left = [...things];
      return things.flatMap(() => left.splice(between(0, left.length - 1), 1));
    },
    apart: () => randomFrom(next()),
  };
}
