export * from './api.ts';
export { createFeed } from './feed.ts';
