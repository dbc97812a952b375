/**
 * Round trips between regions, measured by others: AWS, from each region to each, as cloudping.co tells them. Median over the year
 * up to the second half of 2025, by TCP connections. Taken from the copy that a simulator of BFT protocols carries:
 * github.com/commonwarexyz/monorepo, examples/estimator/src/p50.json at 4622dfb1b602, in milliseconds, rounded to a tenth. These ten
 * of its regions are the ones of its "Alto-like" network.
 */

/** In the order in which validators are dealt out to them, so that a small set is spread over the world, too. */
export const REGIONS = [
  'us-east-1',
  'eu-central-1',
  'ap-northeast-1',
  'us-west-1',
  'eu-west-1',
  'ap-south-1',
  'ap-southeast-2',
  'sa-east-1',
  'eu-north-1',
  'ap-northeast-2',
] as const;

/** Milliseconds there and back: a row from each region, in the same order. */
export const ROUND_TRIPS_MS: readonly (readonly number[])[] = [
  [5.5, 93.2, 149.7, 64.2, 69.6, 192.5, 199.8, 115.3, 112.8, 179.8],
  [92.7, 4.0, 227.0, 153.0, 27.0, 129.3, 251.3, 204.0, 22.9, 230.8],
  [149.5, 227.6, 2.8, 108.7, 202.5, 134.3, 106.9, 258.3, 247.2, 36.3],
  [63.9, 153.3, 108.3, 2.8, 129.9, 232.0, 139.1, 174.8, 172.9, 133.5],
  [69.7, 27.5, 202.3, 130.1, 3.2, 125.9, 255.7, 178.2, 40.9, 232.6],
  [189.7, 129.0, 133.3, 231.6, 125.4, 3.2, 154.7, 301.0, 148.4, 134.5],
  [199.7, 251.6, 105.8, 139.3, 255.6, 154.9, 4.1, 312.1, 271.6, 146.1],
  [115.4, 205.0, 258.9, 175.3, 178.6, 301.8, 312.4, 3.3, 223.3, 289.7],
  [112.2, 23.0, 246.7, 172.5, 39.7, 148.9, 271.2, 223.0, 3.3, 250.1],
  [179.5, 231.6, 36.4, 133.9, 233.2, 135.2, 145.2, 289.4, 250.4, 4.0],
];
