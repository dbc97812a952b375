export * from './api.ts';
export type { EdgeNetworkConfig, NetworkConfig, NetworkLogger } from './config.ts';
export { createEdgeNetwork, createNetwork } from './create.ts';
export * from './limits.ts';
export { MemoryHub, type MemoryHubOptions } from './memory/hub.ts';
export { CHANNELS, type ProtocolNames, protocolNames } from './protocols.ts';
