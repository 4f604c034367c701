/**
 * The groups, in the order in which they run. `seconds` is about what each takes, for the progress display.
 *
 * @module
 */
export const groups = {
  copy: { seconds: 5, load: () => import('./copy.mjs') },
  checksum: { seconds: 20, load: () => import('./checksum.mjs') },
  throughput: { seconds: 40, load: () => import('./throughput.mjs') },
  fused: { seconds: 10, load: () => import('./fused.mjs') },
  kernels: { seconds: 15, load: () => import('./kernels.mjs') },
  pages: { seconds: 10, load: () => import('./pages.mjs') },
  registers: { seconds: 20, load: () => import('./registers.mjs') },
  serialise: { seconds: 15, load: () => import('./serialise.mjs') },
  save: { seconds: 60, load: () => import('./save.mjs') },
  restore: { seconds: 30, load: () => import('./restore.mjs') },
  both: { seconds: 40, load: () => import('./both.mjs') },
  'small-devices': { seconds: 60, load: () => import('./small-devices.mjs') },
  scaling: { seconds: 40, load: () => import('./scaling.mjs') },
  'live-transports': { seconds: 90, load: () => import('../live/transports.mjs') },
  'live-downtime': { seconds: 180, load: () => import('../live/downtime.mjs') },
  'live-cost': { seconds: 60, load: () => import('../live/cost.mjs') },
  'vfio-user': { seconds: 90, load: () => import('../vfio-user/throughput.mjs') },
  'wasm-size': { seconds: 1, load: () => import('./wasm-size.mjs') },
}
