/** Measures a network of real processes under load. */

export * from './options.ts';
