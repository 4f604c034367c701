/**
 * The commands of vfio-user.
 *
 * @module
 */

/** Command numbers. DMA_READ and DMA_WRITE go from the server to the client, all others the other way. */
export const VfioUserCommand = {
  VERSION: 1,
  DMA_MAP: 2,
  DMA_UNMAP: 3,
  DEVICE_GET_INFO: 4,
  DEVICE_GET_REGION_INFO: 5,
  DEVICE_GET_REGION_IO_FDS: 6,
  DEVICE_GET_IRQ_INFO: 7,
  DEVICE_SET_IRQS: 8,
  REGION_READ: 9,
  REGION_WRITE: 10,
  DMA_READ: 11,
  DMA_WRITE: 12,
  DEVICE_RESET: 13,
  REGION_WRITE_MULTI: 15,
  DEVICE_FEATURE: 16,
  MIG_DATA_READ: 17,
  MIG_DATA_WRITE: 18,
} as const
/** One of the command numbers. */
export type VfioUserCommand = (typeof VfioUserCommand)[keyof typeof VfioUserCommand]

const NAMES = new Map<number, string>(Object.entries(VfioUserCommand).map(([name, number]) => [number, name]))

/** The name of a command number, or `command 14` where it has none. */
export function commandName(command: number): string {
  return NAMES.get(command) ?? `command ${command}`
}
