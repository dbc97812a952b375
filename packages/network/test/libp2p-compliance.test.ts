/** The compliance suite on libp2p, over loopback. */

import { libp2pImplementation } from './cluster.ts';
import { networkCompliance } from './compliance.ts';

networkCompliance(libp2pImplementation);
