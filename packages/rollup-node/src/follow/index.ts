export * from './api.ts';
export { createFollower } from './follower.ts';
