/**
 * The groups, in the order in which they run. `seconds` is about what each takes, for the progress display.
 *
 * @module
 */
export const groups = {
  copy: { seconds: 5, load: () => import('./copy.mjs') },
  checksum: { seconds: 20, load: () => import('./checksum.mjs') },
  fused: { seconds: 10, load: () => import('./fused.mjs') },
  serialise: { seconds: 15, load: () => import('./serialise.mjs') },
  save: { seconds: 60, load: () => import('./save.mjs') },
  restore: { seconds: 30, load: () => import('./restore.mjs') },
}
