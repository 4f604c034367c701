/**
 * Answers VERSION, the first command of every client.
 *
 * @module
 */

import { HEADER_BYTES } from './header.ts'
import type { ServedClient } from './served-client.ts'
import { type Answer, answer, refusal } from './command-answer.ts'
import type { QueuedCommand } from './command-queue.ts'
import { encodeIdentity } from './identity.ts'
import { type Capabilities, decodeVersion, encodeVersion, PROTOCOL_VERSION } from './version.ts'

/** The page size of dirty bitmaps that is spoken of here: libvfio-user takes no other. */
const BITMAP_PAGE_BYTES = 4096

/**
 * Agrees on a version: the lower minor, and what this server can do. A client that sends `stopcopy` is told who
 * the device is.
 *
 * @throws {@link VfioError} EINVAL another major version; a page size of bitmaps that is not 4096; messages without
 * data; JSON that is none, or with values of wrong types
 */
export async function serveVersion(command: QueuedCommand, client: ServedClient): Promise<Answer> {
  const { settings, migration } = client
  const said = decodeVersion(command.payload)
  if (said.major !== PROTOCOL_VERSION.major) throw refusal(`version ${said.major} is not spoken here, use 0`)
  const { capabilities } = said
  const pageBytes = capabilities.migration?.pgsize ?? 0
  if (pageBytes !== 0 && pageBytes !== BITMAP_PAGE_BYTES)
    throw refusal(`bitmaps by pages of ${pageBytes} bytes, use ${BITMAP_PAGE_BYTES}`)
  if (capabilities.max_data_xfer_size === 0) throw refusal('messages of 0 bytes, take one or more')
  const canMigrate = (await migration.flags()) !== 0
  client.version = said
  client.tell({ kind: 'version', version: said })
  const minor = settings.quirks.echoMinor ? said.minor : Math.min(said.minor, PROTOCOL_VERSION.minor)
  const encode = (ours: Capabilities): Uint8Array =>
    encodeVersion({ major: PROTOCOL_VERSION.major, minor, capabilities: ours })
  const base = fitting(encode, settings.quirks.versionReplyBytes - HEADER_BYTES, [
    { max_msg_fds: settings.maxMessageFds },
    { max_data_xfer_size: settings.maxDataBytes },
    ...(canMigrate ? [{ migration: { pgsize: BITMAP_PAGE_BYTES } }] : []),
  ])
  if (capabilities.stopcopy === undefined) return answer(encode(base))
  return answer(encode({ ...base, stopcopy: encodeIdentity(migration.device.identity) }))
}

/** As many of the capabilities as fit, in their order. */
function fitting(
  encode: (capabilities: Capabilities) => Uint8Array,
  mostBytes: number,
  capabilities: readonly Capabilities[],
): Capabilities {
  let chosen: Capabilities = {}
  for (const capability of capabilities) {
    const longer = { ...chosen, ...capability }
    if (encode(longer).length > mostBytes) break
    chosen = longer
  }
  return chosen
}
