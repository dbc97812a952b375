/** The compliance suite on the memory hub. */

import { memoryImplementation } from './cluster.ts';
import { networkCompliance } from './compliance.ts';

networkCompliance(memoryImplementation());
