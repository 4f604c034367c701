/**
 * What a migration stream holds, in words and columns.
 *
 * @module
 */

import type { ConfigurationValue } from '../device/driver.ts'
import type { RegionReport, SectionReport, StreamReport } from '../migrate/index.ts'
import { formatBytes, formatCount } from './byte-size.ts'
import { plainJson } from './plain-line.ts'
import { table } from './table.ts'
import type { Colors } from './terminal.ts'

/** Sections that people want to see; a machine gets a thousand. */
const SHOWN_SECTIONS = 8

/** All of a report, for `inspect`. */
export function streamLines(report: StreamReport, colors: Colors): string[] {
  const { header, configuration, regions } = report
  const heading = colors.bold
  return [
    heading('Stream'),
    ...table([
      ['size', `${formatCount(report.bytes)} bytes (${formatBytes(report.bytes)})`],
      ['format', `version ${header.formatVersion}, ${checksumName(header.checksum)} checksums`],
      ['device', `${printable(header.deviceType)}, state version ${header.deviceVersion}`],
      ['payload', header.opaque ? "the driver's own stream, wrapped" : 'registers and memory pages'],
      ['fingerprint', hex(header.fingerprint)],
    ]),
    '',
    heading('Configuration'),
    ...table(Object.entries(configuration).map(([name, value]) => [printable(name), valueText(value)])),
    '',
    ...(regions.length === 0 ? [] : [heading('Memory'), ...regionLines(regions, colors), '']),
    heading('Sections'),
    ...tagLines(report, colors),
    '',
    heading('First sections'),
    ...sectionLines(report, colors),
  ]
}

/** Per tag: how many sections and bytes. */
export function tagLines({ tags, sectionCount, bytes }: StreamReport, colors: Colors): string[] {
  const rows = Object.entries(tags).map(([tag, { sections, payloadBytes }]) => [
    tag,
    formatCount(sections),
    formatCount(payloadBytes),
    TAG_TEXTS[tag] ?? '',
  ])
  const payload = Object.values(tags).reduce((total, { payloadBytes }) => total + payloadBytes, 0)
  const rest = `and ${formatCount(bytes - payload)} bytes of headers`
  return table(
    [
      ['tag', 'sections', 'payload bytes', 'holds'],
      ...rows,
      ['total', formatCount(sectionCount), formatCount(payload), rest],
    ],
    { align: ['left', 'right', 'right'], heading: colors.dim },
  )
}

/** Per memory region: how its pages came. */
export function regionLines(regions: readonly RegionReport[], colors: Colors): string[] {
  return table(
    [
      ['region', 'size', 'pages as bytes', 'pages as zero runs'],
      ...regions.map(({ name, byteLength, dataPages, zeroPages }) => [
        printable(name),
        formatBytes(byteLength),
        formatCount(dataPages),
        formatCount(zeroPages),
      ]),
    ],
    { align: ['left', 'right', 'right', 'right'], heading: colors.dim },
  )
}

const TAG_TEXTS: Readonly<Record<string, string>> = {
  CONFIG: 'options both sides agree in',
  STATE: 'registers',
  PAGES: 'memory, page by page',
  PAGES_LZ4: 'memory, compressed',
  ZERO: 'runs of zero pages',
  OPAQUE: "the driver's own bytes",
  END: 'totals and digest',
}

function sectionLines(report: StreamReport, colors: Colors): string[] {
  const shown = report.sections.slice(0, SHOWN_SECTIONS)
  const left = report.sectionCount - shown.length
  return [
    ...table(
      [
        ['no.', 'offset', 'tag', 'payload bytes', 'holds'],
        ...shown.map((section) => [
          formatCount(section.sequence),
          formatCount(section.offset),
          section.tag,
          formatCount(section.payloadBytes),
          sectionText(section, report.regions),
        ]),
      ],
      { align: ['right', 'right', 'left', 'right'], heading: colors.dim },
    ),
    ...(left > 0 ? [colors.dim(`  and ${formatCount(left)} more`)] : []),
  ]
}

function sectionText(
  { first = 0, pageCount, region = 0, payloadBytes, tag }: SectionReport,
  regions: readonly RegionReport[],
): string {
  if (pageCount !== undefined) {
    const pages = pageCount === 1 ? `page ${first}` : `pages ${first} to ${first + pageCount - 1}`
    return `${printable(regions[region]?.name ?? '')} ${pages}`
  }
  if (tag === 'STATE' || tag === 'OPAQUE') return `bytes ${first} to ${first + payloadBytes - 1}`
  return ''
}

function checksumName(kind: string): string {
  return kind === 'crc32c' ? 'CRC-32C' : 'XXH3-64'
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function valueText(value: ConfigurationValue): string {
  if (typeof value === 'string') return printable(value)
  return typeof value === 'number' && value > 9999 ? `${value} (${formatCount(value)})` : String(value)
}

/** Text of an untrusted stream must not steer the terminal. */
export function printable(text: string): string {
  return plainJson(JSON.stringify(text)).slice(1, -1)
}
