/**
 * State that lives in JavaScript objects, and the serialisers one would use for it.
 *
 * Another job than stopcopy's: these start from objects, where every field must be visited. State that lives
 * in engine memory (group registers) need not be, and that is the whole difference.
 *
 * @module
 */
import { createRecords, RECORD_BYTES } from '../data/records.mjs'
import { serialisers } from '../data/serialisers.mjs'
import { touchedBuffer } from '../data/touched.mjs'

const WAYS = Object.keys(serialisers)
const COPY = 'Buffer.copy of the packed bytes'

export const rounds = { full: 5, quick: 1 }
export const names = [COPY, ...WAYS.map((way) => `${way}, save`), ...WAYS.map((way) => `${way}, restore`)]

export async function open({ quick }) {
  const count = quick ? 2000 : 20_000
  const records = createRecords(count)
  // Restored into, so that the records saved stay what they are.
  const restored = createRecords(count)
  const bytes = count * RECORD_BYTES
  const [from, to] = [touchedBuffer(bytes), touchedBuffer(bytes)]
  const sizes = []
  const cases = [
    { name: COPY, bytes, loop: () => from.copy(to) },
    ...WAYS.map((way) => ({
      name: `${way}, save`,
      bytes,
      against: COPY,
      loop: () => serialisers[way].save(records),
    })),
    ...WAYS.map((way) => {
      const encoded = Uint8Array.from(serialisers[way].save(records))
      sizes.push(`${way} ${Math.round(encoded.length / count)}`)
      return {
        name: `${way}, restore`,
        bytes,
        against: COPY,
        loop: () => serialisers[way].load(encoded, restored),
      }
    }),
  ]
  return {
    title: `Serialising ${count.toLocaleString('en')} records of ${RECORD_BYTES} bytes held in objects`,
    notes: [
      `These start from JavaScript objects with typed-array fields; that is another job than saving state that lives in engine memory. GB/s counts the ${RECORD_BYTES} packed bytes of a record whatever the encoding adds: ${sizes.join(', ')} bytes per record. "DataView by hand" restores into existing objects, the others make new ones.`,
    ],
    cases,
    targets: [],
  }
}
